"""Compare the model with what others measured and published: `python -m benchmarks.validation FOLDER`.

FOLDER holds the tables of published measurements (fugaku_4x4x4.csv, nccl_tests_aws_efa.csv, teccl_published_outputs.csv).
Prints the Markdown table of docs/validation.md. Nothing is fitted: bandwidths are those of the documents, overheads zero,
so for large sizes a model time above the measured one would be a fault, and one below it what the model leaves out.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np

import topologies
from fabric import Network, simulate
from fabric.bounds import lower_bounds
from fabric.collectives import build

MiB, GiB = 2.0**20, 2.0**30
TOFU = 6.8e9  # bytes/s per link and direction, Fujitsu TofuD


class Row(NamedTuple):
    """One comparison; times in s."""

    what: str
    published: float
    model: float
    note: str


def time_of(graph: nx.DiGraph[int], collective: str, algorithm: str, size: float, **options: object) -> float:
    """Simulated time, zero overheads."""
    network = Network(graph)
    schedule = build(collective, algorithm, network.layout(np.arange(network.ranks)), **options)
    return simulate(network, schedule.scaled(size)).time


def bound_of(graph: nx.DiGraph[int], collective: str, size: float) -> float:
    """The largest lower bound."""
    network = Network(graph)
    return max(bound.time for bound in lower_bounds(network, collective, [np.arange(network.ranks)], size))


def fugaku(folder: Path) -> Iterator[Row]:
    """A real 4x4x4 torus, the shape of a Trn2 UltraServer."""
    with open(folder / "fugaku_4x4x4.csv", encoding="utf-8") as lines:
        measured = {
            (r["collective"], r["algorithm"], int(r["bytes_count_x4"])): float(r["median_us"]) * 1e-6
            for r in csv.DictReader(lines)
        }
    graph = topologies.torus([4, 4, 4], TOFU)
    pairs: list[tuple[str, str, Callable[[float], float], str]] = [
        (
            "allgather",
            "RING-VEC_DOUBLING_CONT_PERMUTE-UTOFU-0-6",
            lambda s: time_of(graph, "all_gather", "ring", s),
            "ring, 6 ports",
        ),
        ("allgather", "default-3dtorus", lambda s: time_of(graph, "all_gather", "bucket", s), "torus algorithm against bucket"),
        ("alltoall", "default-blacc3d", lambda s: time_of(graph, "all_to_all", "direct", s), "torus algorithm against direct"),
    ]
    for collective, algorithm, model, note in pairs:
        for size in (8 * MiB, 64 * MiB, 512 * MiB):
            key = next((k for k in measured if k[0] == collective and k[1] == algorithm and k[2] == size), None)
            if key is not None:
                yield Row(f"Fugaku 4x4x4 {collective}, {size / MiB:.0f} MiB", measured[key], model(size), note)


def nccl(folder: Path) -> Iterator[Row]:
    """NVSwitch machines, 450 GB/s per GPU and direction, and EFA at 50 GB/s per GPU between two of them."""
    with open(folder / "nccl_tests_aws_efa.csv", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    one = topologies.switch(8, 450e9)
    two = topologies.efa_cluster(one, 2, nic_bandwidth=50e9)
    runs: list[tuple[int, nx.DiGraph[int], str, dict[str, object]]] = [
        (8, one, "ring", {}),
        (16, two, "hierarchical", {"slices": 16}),
    ]
    for ranks, graph, algorithm, options in runs:
        for size in (64 * MiB, GiB, 4 * GiB):
            for row in rows:
                if (
                    row["collective"] == "all_reduce"
                    and "p5." in row["setup"]
                    and (int(row["ranks"]), float(row["size_B"])) == (ranks, size)
                ):
                    published = float(row["time_us"]) * 1e-6
                    note = " ".join([algorithm, *(f"{key} {value}" for key, value in options.items())])
                    yield Row(
                        f"p5, {ranks} H100, AllReduce {size / MiB:.0f} MiB",
                        published,
                        time_of(graph, "all_reduce", algorithm, size, **options),
                        note,
                    )
                    break


def teccl(folder: Path) -> Iterator[Row]:
    """Two DGX-2 of 16 GPUs, 125 GB/s each to the switch of their chassis, eight cables of 12.5 GB/s between the switches."""
    graph = nx.DiGraph(name="two DGX-2", routing="shortest")
    for rank in range(32):
        graph.add_node(rank, kind="chip", name=f"chip {rank}", server=rank // 16)
    for switch in (32, 33):
        graph.add_node(switch, kind="switch", name=f"switch {switch - 32}", server=switch - 32)
    for rank in range(32):
        for u, v in ((rank, 32 + rank // 16), (32 + rank // 16, rank)):
            graph.add_edge(u, v, bandwidth=125e9, latency=0.0, tier="nvlink")
    for u, v in ((32, 33), (33, 32)):
        graph.add_edge(u, v, bandwidth=8 * 12.5e9, latency=0.0, tier="ib")
    with open(folder / "teccl_published_outputs.csv", encoding="utf-8") as lines:
        times = {row["file"]: float(row["4-Collective_Finish_Time"]) for row in csv.DictReader(lines)}
    for file, collective, name in (
        ("DGX2_output/2_chassis/AllGather/Fast/1GB.json", "all_gather", "AllGather"),
        ("DGX2_output/2_chassis/AlltoAll/Fast/1GB.json", "all_to_all", "all-to-all"),
    ):
        if file in times:
            yield Row(
                f"TE-CCL, two DGX-2, {name} 1 GB (their schedule)", times[file], bound_of(graph, collective, 1e9), "lower bound"
            )


def main() -> int:
    """Print the table; the exit code."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print("usage: python -m benchmarks.validation FOLDER   (the folder of published tables)", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    print("| case | published | model | model / published | with |")
    print("|---|---|---|---|---|")
    for source in (teccl, fugaku, nccl):
        for row in source(folder):
            times = f"{row.published * 1e6:,.0f} us | {row.model * 1e6:,.0f} us | {row.model / row.published:.3f}"
            print(f"| {row.what} | {times} | {row.note} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
