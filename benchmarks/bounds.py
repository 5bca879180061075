"""How near the algorithms come to the lower bounds: `python -m benchmarks.bounds [--only MACHINE ...]`.

Prints the two Markdown tables of docs/bounds.md. First, for every collective on every machine the algorithm that is fastest at
1 GiB with all delays zero, and its time over the largest lower bound; where that is more than 1.001 also the value of the
linear program behind the bound. Second, what `optimal` makes of machines whole and broken, and how long it takes to build on
one core with nothing in the cache. About half an hour in all.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from fabric import Network
from fabric.bounds.allgather import worst_cut
from fabric.bounds.concurrent import RANKS, flow_limit
from fabric.bounds.needs import Needs
from fabric.collectives.roots import best_rates
from fabric.errors import FabricError
from fabric.result import Result
from fabric.runner import one_case, run_scenario
from fabric.scenario import Scenario
from fabric.wires import Wires

SIZE = 2.0**30
MET = 1.001
TRANSFERS = 1_600_000
"""Of a broadcast in slices, at most."""

COLLECTIVES = (
    *("all_reduce", "all_gather", "reduce_scatter", "all_to_all"),
    *("broadcast", "reduce", "gather", "scatter", "permute"),
)
MACHINES: Mapping[str, Mapping[str, object]] = {
    **{name: {"builder": name} for name in ("trn1", "trn1n", "trn2", "trn2_ultraserver", "trn3_gen1")},
    "trn3_gen1 lanes160": {"builder": "trn3_gen1", "preset": "lanes160"},
    "trn3_gen1 flat": {"builder": "trn3_gen1", "preset": "flat"},
    "trn3_gen2": {"builder": "trn3_gen2"},
    "trn3_gen2 lanes160": {"builder": "trn3_gen2", "preset": "lanes160"},
    "trn3_gen2 flat": {"builder": "trn3_gen2", "preset": "flat"},
    "trn3_gen2, one rack": {"builder": "trn3_gen2", "racks": 1},
    **{f"2 x {name}": {"builder": "efa_cluster", "machine": name, "count": 2} for name in ("trn1", "trn1n", "trn2")},
}
"""A builder and its parameters."""
BROKEN: Mapping[str, tuple[str, tuple[int | str, int | str] | None]] = {
    "trn2": ("trn2", None),
    "trn2, cable 0-1": ("trn2", (0, 1)),
    "trn2_ultraserver": ("trn2_ultraserver", None),
    "trn2_ultraserver, X cable": ("trn2_ultraserver", (0, 1)),
    "trn2_ultraserver, Z cable": ("trn2_ultraserver", (0, 16)),
    "trn3_gen1": ("trn3_gen1", None),
    "trn3_gen1, cross-rack cable": ("trn3_gen1", (0, 32)),
    "trn3_gen1, chip to rack switch": ("trn3_gen1", ("chip 0", "rack switch 0")),
    "trn3_gen2, one rack": ("trn3_gen2, one rack", None),
    "trn3_gen2, one rack, chip to rack switch": ("trn3_gen2, one rack", ("chip 0", "rack switch 0")),
    "trn3_gen2": ("trn3_gen2", None),
    "trn3_gen2, cross-rack cable": ("trn3_gen2", (0, 72)),
    "trn3_gen2, chip to rack switch": ("trn3_gen2", ("chip 0", "rack switch 0")),
}
"""A machine and a link of it, both directions, that is down."""


class Best(NamedTuple):
    """The fastest row of a machine and a collective, its network, and how the algorithm was asked for."""

    row: Result
    network: Network
    asked: str


def scenario(
    machine: str, collective: str, algorithm: Mapping[str, object], down: tuple[int | str, int | str] | None = None
) -> Scenario:
    """One collective on one machine at 1 GiB, no delays."""
    topology = {**MACHINES[machine], **({"degrade": [{"cable": list(down), "down": True}]} if down else {})}
    case = {"collective": collective, "sizes": "1 GiB", "algorithm": algorithm, "overheads": "none", "topology": topology}
    return one_case(machine, str(topology["builder"]), case)


def attempts(collective: str, *, clustered: bool) -> Iterator[dict[str, object]]:
    """Algorithms to try, in this order, until one meets the bound; 0 slices stands for as many as may be."""
    if clustered and collective in ("all_reduce", "all_gather", "reduce_scatter"):
        yield {"name": "hierarchical", "slices": 256}
    elif collective != "all_to_all":
        yield {"name": "optimal"}
    if collective in ("broadcast", "reduce"):
        yield {"name": "optimal", "slices": 0}
    yield {"name": "auto"}


def fastest(machine: str, collective: str) -> Best:
    """The fastest of the attempts; what does not serve the machine is passed over."""
    best: Best | None = None
    slices = 1
    for algorithm in attempts(collective, clustered=MACHINES[machine]["builder"] == "efa_cluster"):
        if "slices" in algorithm:
            algorithm = {**algorithm, "slices": algorithm["slices"] or slices}
        try:
            loaded = scenario(machine, collective, algorithm)
            row = run_scenario(loaded, lambda text: None).results[0]
        except FabricError:
            continue
        if algorithm == {"name": "optimal"}:
            each = row.transfers / int(str(row.options.get("slices", 1)))
            slices = 2 ** int(np.log2(max(TRANSFERS / each, 1)))
        if best is None or row.time < best.row.time * (1 - 1e-9):
            best = Best(row, row.network, row.algorithm + slices_of(row))
        if best.row.gap <= MET:
            break
    assert best is not None
    return best


def slices_of(row: Result) -> str:
    """In words, where there are several."""
    count = int(str(row.options.get("slices", 1)))
    return f", {count} slices" if count > 1 else ""


def program(best: Best) -> float | None:
    """s of the linear program that the collective comes to, whatever the routes; None where there are too many ranks."""
    network, collective = best.network, best.row.collective
    everyone = np.arange(network.ranks)
    found = [bound.time for bound in best.row.bounds if bound.name.endswith("optimum")]
    if found:
        return found[0]
    if collective == "all_reduce":
        wires = Wires.of(network, everyone)
        sides = (worst_cut(network, everyone), worst_cut(network, everyone, reverse=True))
        equal = min(cut.bandwidth / cut.inside for cut in sides)
        return 2 * SIZE / float(sum(best_rates(wires, equal), Fraction(0)))
    if network.ranks > RANKS:
        return None
    matrix = None
    if collective == "permute":
        matrix = np.roll(np.eye(network.ranks), 1, axis=1)
    return flow_limit(network, Needs.of(collective, [everyone], matrix), lambda text: None).time(SIZE)


def algorithms(only: list[str]) -> None:
    """Print the first table."""
    print("| machine | chips | collective | fastest | steps | bound | gap | cut | linear program | gap to it |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for machine in MACHINES:
        for collective in COLLECTIVES if not only or machine in only else ():
            best = fastest(machine, collective)
            row, rest = best.row, ["", "", ""]
            if row.gap > MET:
                least = program(best)
                rest = [row.bound.detail, "more than 144 ranks", ""]
                if least is not None:
                    rest[1:] = [f"{least * 1e3:.3f} ms", f"{row.time / least:.3f}"]
            cells = [machine, str(row.ranks), collective, best.asked, str(row.steps), row.bound.name, f"{row.gap:.3f}", *rest]
            print(f"| {' | '.join(cells)} |", flush=True)


def optimal(only: list[str]) -> None:
    """Print the second table."""
    print("| machine, and the link that is down | chips | collective | gap | built in | transfers | trees |")
    print("|---|---|---|---|---|---|---|")
    for name, (machine, down) in BROKEN.items():
        for collective in COLLECTIVES[:3] if not only or machine in only else ():
            row, built = from_nothing(scenario(machine, collective, {"name": "optimal"}, down))
            cells = [name, str(row.ranks), collective, f"{row.gap:.4f}", f"{built:.1f} s", f"{row.transfers:,}", row.note]
            print(f"| {' | '.join(cells)} |", flush=True)


def from_nothing(loaded: Scenario) -> tuple[Result, float]:
    """The row of a scenario whose trees are not in the cache, and the seconds of one core until its schedule was there."""
    seen: list[float] = []

    def say(text: str) -> None:
        if text.endswith(" transfers"):
            seen.append(time.process_time())

    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        begin = time.process_time()
        row = run_scenario(loaded, say).results[0]
    return row, seen[0] - begin


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], choices=list(MACHINES), help="these machines; may be repeated")
    parser.add_argument("--table", choices=["algorithms", "optimal"], help="this one alone")
    given = parser.parse_args()
    tables = {"algorithms": algorithms, "optimal": optimal}
    for name, table in tables.items():
        if given.table in (None, name):
            table(given.only)
            print()


if __name__ == "__main__":
    main()
