"""Numbers that must come out, each from arithmetic or from a published closed form; zero overheads unless said."""

from __future__ import annotations

from fractions import Fraction

import networkx as nx
import numpy as np
import pytest

import topologies
from fabric import Network, Overheads, Rule, simulate
from fabric.bounds import lower_bounds
from fabric.collectives import algorithm, applicable

GiB = 2.0**30
c = 1e9  # bytes/s of a link where the shape alone matters


def run(graph: nx.DiGraph[int], collective: str, name: str, size: float = GiB, **options: object) -> float:
    """Seconds."""
    network = Network(graph)
    schedule = algorithm(collective, name)(network.layout(np.arange(network.ranks)), **options)
    return simulate(network, schedule.scaled(size), verify=True).time


# A uniform all-to-all moves S/n between every two ranks; minimal routes. Torus of even k: S k / (8 c) by the dimension that
# binds (collectives, closed form); Trn3: half of S crosses the racks on one link per chip; one rack: 68 of 72 chips are in
# another sled, S x 68 / 72 over the link to the rack switch.
@pytest.mark.parametrize(
    ("graph", "algbw"),
    [
        (topologies.trn2, 8 * 128 / 4),
        (topologies.trn2_ultraserver, 8 * 64 / 4),
        (topologies.trn3_gen1, 128 * 2),
        (topologies.trn3_gen2, 128 * 2),
        (lambda: topologies.trn3_gen2(preset="lanes160"), 128 * 2),
        (lambda: topologies.trn3_gen2(racks=1), 320 * 72 / 68),
        (topologies.trn1, 8 * 48 / 4),
        (topologies.trn1n, 8 * 96 / 4),
    ],
)
def test_uniform_all_to_all(graph: object, algbw: float) -> None:
    assert GiB / run(graph(), "all_to_all", "direct") / 1e9 == pytest.approx(algbw, rel=1e-9)  # type: ignore[operator]


# Injected per chip, S (n - 1) / n / T: the binding figures of the published derivation, in whole GB/s.
@pytest.mark.parametrize(
    ("graph", "injected"),
    [
        (topologies.trn1, 90),
        (topologies.trn1n, 180),
        (topologies.trn2, 240),
        (topologies.trn2_ultraserver, 126),
        (topologies.trn3_gen2, 254),
        (lambda: topologies.trn3_gen2(preset="lanes160"), 254),
        (lambda: topologies.trn3_gen1(preset="lanes160"), 252),
        (lambda: topologies.trn3_gen2(racks=1), 334),
    ],
)
def test_injection_of_a_uniform_all_to_all(graph: object, injected: float) -> None:
    built = graph()  # type: ignore[operator]
    n = sum(kind == "chip" for _, kind in built.nodes(data="kind"))
    assert GiB * (n - 1) / n / run(built, "all_to_all", "direct") / 1e9 == pytest.approx(injected, abs=1)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 16])
@pytest.mark.parametrize("size", [float(2**20), 12_345_678.0])
def test_ring_all_reduce_is_alpha_beta(n: int, size: float) -> None:
    network = Network(topologies.ring(n, 50e9, 0.3e-6))
    schedule = algorithm("all_reduce", "ring")(network.layout(np.arange(n)), directions=1)
    alpha = 1.3e-6 + 0.3e-6
    found = simulate(network, schedule.scaled(size), overheads=Overheads(alpha_link=1.3e-6)).time
    assert found == pytest.approx(2 * (n - 1) * (alpha + size / (n * 50e9)), rel=1e-12)


def test_ring_all_reduce_over_both_cycles_of_trn2() -> None:
    network = Network(topologies.torus([4, 4], c))
    schedule = algorithm("all_reduce", "ring")(network.layout(np.arange(16)))
    found = simulate(network, schedule.scaled(GiB), overheads=Overheads(alpha_link=1e-6)).time
    assert found == pytest.approx(30 * 1e-6 + 2 * (15 / 16) * GiB / (4 * c), rel=1e-12)


# Bytes on the busiest link, summed over steps, in units of S; times c this is the time of one reduce-scatter. From the
# published table of tori: bucket with one port and with all, recursive halving by plain ids with near partners first, direct.
TABLE = {
    (8,): ("7/8", "7/16", "5/4", "1"),
    (16,): ("15/16", "15/32", "7/4", "2"),
    (4, 4): ("15/16", "15/64", "15/16", "1/2"),
    (8, 8): ("63/64", "63/256", "39/32", "1"),
    (4, 4, 4): ("63/64", "21/128", "63/64", "1/2"),
}
COLUMNS = [("bucket", {"ports": "one"}), ("bucket", {}), ("rdh", {"order": "plain"}), ("mesh", {})]


@pytest.mark.parametrize("dims", TABLE)
@pytest.mark.parametrize("column", range(4))
def test_table_of_tori_by_simulation(dims: tuple[int, ...], column: int) -> None:
    name, options = COLUMNS[column]
    graph = topologies.torus(list(dims), c)
    found = run(graph, "reduce_scatter", name, size=1e9, **options)
    assert found == pytest.approx(float(Fraction(TABLE[dims][column])), rel=1e-9)


# Bound of the all-gather: every chip receives S (n - 1) / n over all its links (the single-chip cut is the tight one on
# these); with one cable lost one end has three links left.
@pytest.mark.parametrize(
    ("graph", "links", "n"),
    [
        (topologies.trn2, 4 * 128, 16),
        (topologies.trn2_ultraserver, 4 * 128 + 2 * 64, 64),
        (topologies.trn3_gen2, 256 + 320 + 128, 144),
        (lambda: topologies.trn3_gen2(racks=1), 256 + 320, 72),
        (lambda: topologies.trn3_gen2(preset="lanes160"), 512 + 512 + 128, 144),
        (topologies.trn3_gen1, 256 + 320 + 128, 64),
        (lambda: topologies.degrade(topologies.trn2(), down=[(0, 1)]), 3 * 128, 16),
    ],
)
def test_all_gather_optimum(graph: object, links: float, n: int) -> None:
    network = Network(graph())  # type: ignore[operator]
    bound = max(b.time for b in lower_bounds(network, "all_gather", [np.arange(n)], GiB))
    assert GiB / bound / 1e9 == pytest.approx(links * n / (n - 1), rel=1e-12)


def test_all_gather_on_thin_z_is_near_its_bound() -> None:
    """Equal parts in all three dimensions would take 1.67 times the bound."""
    graph = topologies.trn2_ultraserver()
    network = Network(graph)
    layout = network.layout(np.arange(64))
    times = [
        simulate(network, schedule.scaled(GiB)).time
        for schedule in applicable("all_gather", layout).values()
        if not isinstance(schedule, str)
    ]
    assert min(times) / (GiB * 63 / 64 / 640e9) < 1.15


def test_one_sided_ties_load_a_ring_of_four_half_as_much_again() -> None:
    """Distance 2 goes one way only: 1 + 2 of 4 instead of 1 + 1 hops on every link, so 3/2 of the time."""
    network = Network(topologies.trn2())
    schedule = algorithm("all_to_all", "direct")(network.layout(np.arange(16))).scaled(GiB)
    split, positive = (simulate(network, schedule, routing=Rule(ties=ties)).time for ties in ("split", "positive"))
    assert positive / split == pytest.approx(1.5)


def test_busbw_factors_are_those_of_nccl_tests() -> None:
    from fabric.result import BUSBW_FACTORS

    factors = {name: factor(8) for name, factor in BUSBW_FACTORS.items()}
    ring_like = {"all_gather", "reduce_scatter", "all_to_all", "all_to_all_v", "gather", "scatter"}
    whole = {"broadcast", "reduce", "permute"}
    assert factors == {"all_reduce": 14 / 8, **dict.fromkeys(ring_like, 7 / 8), **dict.fromkeys(whole, 1)}


def test_delay_of_one_transfer_is_one_overhead_and_its_links() -> None:
    """Two machines of two chips: inside alpha_link and one hop, between alpha_efa and the cluster's links."""
    graph = topologies.efa_cluster(topologies.ring(2, 1e9, 0.5e-6), 2)
    network = Network(graph)
    overheads = Overheads(alpha_link=1e-6, alpha_efa=15e-6)
    layout = network.layout(np.arange(2))
    inside = simulate(network, algorithm("all_gather", "mesh")(layout).scaled(2.0), overheads=overheads)
    assert inside.time == pytest.approx(1e-6 + 0.5e-6 + 1 / 1e9, rel=1e-12)
    between = simulate(network, algorithm("all_gather", "mesh")(layout).scaled(2.0), ranks=[0, 2], overheads=overheads)
    assert between.time == pytest.approx(15e-6 + 1 / 25e9, rel=1e-12)
