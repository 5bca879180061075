"""Replica groups and mixtures of experts on folded clusters do what they do in full, to rounding: the time, and the bytes and
the busy time of every link. And at a million chips every tier carries the bytes of a closed form."""

from __future__ import annotations

import re
from math import comb, gcd, lcm

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fabric.bind import Overheads, Placement
from fabric.bounds import find_limits
from fabric.errors import InputError, InternalError
from fabric.network import Network
from fabric.result import Result
from fabric.runner import run_scenario
from fabric.scenario import read_scenario
from topologies import efa_cluster

MOE = "{tokens: 96, hidden: 1024, top_k: 2, experts: EXPERTS, dispatch_bytes: 1, combine_bytes: 2, OTHER}"
TORUS = "machine: torus, machine_parameters: {dims: [3, 2], bandwidth: [90 GB/s, 40 GB/s]}"
RING = "machine: ring, machine_parameters: {n: 4, bandwidth: 60 GB/s}"
OVERHEADS = "overheads: {alpha_link: 1.3 us, alpha_efa: 15 us, start: 3 us}"


def run(topology: str, case: str, **settings: object) -> list[Result]:
    lines = "".join(f"{key}: {str(value).lower()}\n" for key, value in settings.items())
    text = f"name: t\n{lines}{OVERHEADS}\ncases:\n  - name: c\n    topology: {{builder: efa_cluster, {topology}}}\n    {case}\n"
    return list(run_scenario(read_scenario(text, name="t"), lambda text: None).results)


def pods_of(machines: int, pods: int) -> str:
    """Parameters for so many pods of so many machines of at most 16 NICs, which have two ToRs each."""
    return "" if pods == 1 else f", leaf_ports: {4 * machines}, spine_ports: 1024, spines_per_plane: 2"


def class_of(end: str, folded: Network, leaves: int) -> str:
    """The node of the folded cluster that stands for a node of the cluster in full: machine i for machines i + j u."""
    kind, number, *rest = end.split(" ", 2)
    if kind == "leaf":
        place = int(number) // leaves % gcd(folded.unit, folded.pods)
    elif kind in ("chip", "nic", "tor"):
        place = int(number) % sum(name.startswith(f"{kind} ") for name in folded.node_names)
    else:
        place = int(number) % (folded.unit if kind == "machine" else 1)
    return " ".join((kind, str(place), *rest))


def compare(topology: str, case: str) -> list[Result]:
    """Run a case folded and in full; the rows of the folded cluster."""
    ours, theirs = (run(f"{topology}, fold: {way}, spread: true", case) for way in ("true", "false"))
    assert len(ours) == len(theirs) > 0
    for folded, full in zip(ours, theirs):
        same_links(folded, full)
        same_bounds(folded, full)
    return ours


def same_links(folded: Result, full: Result) -> None:
    assert folded.time == pytest.approx(full.time, rel=1e-12)
    assert (folded.algorithm, folded.ranks, folded.steps) == (full.algorithm, full.ranks, full.steps)
    assert (folded.transfers, folded.groups, folded.size) == (full.transfers, full.groups, pytest.approx(full.size, rel=1e-12))
    assert list(folded.group_times) * folded.copies == pytest.approx(list(full.group_times), rel=1e-12)
    known = {name: index for index, name in enumerate(folded.network.names)}
    layers = full.network.graph.graph["layers"]
    leaves = layers["planes"] * layers["leaves_per_plane"]
    ends = [[class_of(end, folded.network, leaves) for end in name.split(" -> ")] for name in full.network.names]
    alike = [known[" -> ".join(pair)] for pair in ends]
    assert np.array_equal(np.bincount(alike), folded.network.multiplicity)
    np.testing.assert_allclose(folded.network.capacity[alike], full.network.capacity, rtol=1e-14)
    for mine, its in ((folded.carried, full.carried), (folded.busy, full.busy)):
        np.testing.assert_allclose(mine[alike], its, rtol=1e-12, atol=1e-12 * its.max())
    for ours, theirs in zip(folded.tiers(), full.tiers(), strict=True):
        assert (ours.tier, ours.links) == (theirs.tier, theirs.links)
        assert ours.bytes == pytest.approx(theirs.bytes, rel=1e-12)


def same_bounds(folded: Result, full: Result) -> None:
    """None is above that of the cluster in full, and they are the same but for pods that are stored once."""
    theirs = {bound.name: bound.time for bound in full.bounds}
    for bound in folded.bounds:
        assert bound.time <= theirs[bound.name] * (1 + 1e-12)
        if bound.name != "distance":
            assert bound.time == pytest.approx(theirs[bound.name], rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    machine=st.sampled_from([(TORUS, 6), (RING, 4)]),
    pods=st.integers(1, 3),
    unit=st.integers(1, 4),
    times=st.integers(1, 2),
    oversubscription=st.sampled_from([1, 3]),
    what=st.sampled_from(
        [
            ("all_reduce", "ring"),
            ("all_gather", "mesh"),
            ("reduce_scatter", "pat"),
            ("all_to_all", "direct"),
            ("broadcast", "tree"),
        ]
    ),
)
def test_groups_of_whole_machines(
    machine: tuple[str, int], pods: int, unit: int, times: int, oversubscription: int, what: tuple[str, str]
) -> None:
    name, each = machine
    count = lcm(unit, pods) * times
    if count == unit:
        return  # one group of all
    topology = f"{name}, count: {count}, oversubscription: {oversubscription}{pods_of(count // pods, pods)}"
    case = f"collective: {what[0]}\n    algorithm: {what[1]}\n    groups: {{of: {unit * each}}}\n    sizes: 1 MiB"
    (row,) = compare(topology, case)
    assert (row.network.unit, row.network.pods, row.copies) == (unit, pods, count // unit)


@pytest.mark.parametrize("pods", [1, 2, 3])
@pytest.mark.parametrize(("size", "unit"), [(2, 1), (3, 1), (6, 1), (4, 2), (9, 3), (12, 2), (36, 6)])
def test_skewed_experts(size: int, unit: int, pods: int) -> None:
    """Several groups in a machine, one, groups of several machines, and groups that cut machines at the same places in all."""
    moe = MOE.replace("EXPERTS", str(2 * size)).replace("OTHER", "skew: 0.8, deduplicate: rank")
    rows = compare(
        f"{TORUS}, count: 12{pods_of(12 // pods, pods)}",
        f"collective: moe\n    algorithm: direct\n    groups: {{of: {size}}}\n    moe: {moe}",
    )
    assert [row.phase for row in rows] == ["dispatch", "combine", "total"]
    assert (rows[0].network.unit, rows[0].groups, rows[0].ranks) == (unit, 72 // size, size)
    stands = "one machine stands" if unit == 1 else f"{unit} machines stand"
    assert rows[0].note.endswith(f"{stands} for 12" + (f", dealt to {pods} pods in turn" if pods > 1 else ""))


@pytest.mark.parametrize("experts", [6, 12, 36, 72])
@pytest.mark.parametrize("deduplicate", ["none", "rank"])
@pytest.mark.parametrize("pods", [1, 2])
def test_one_group_with_a_balanced_router(experts: int, deduplicate: str, pods: int) -> None:
    """36 ranks: one expert on each machine, on every third rank, on every rank, two on every rank."""
    moe = MOE.replace("EXPERTS", str(experts)).replace("OTHER", f"deduplicate: {deduplicate}")
    rows = compare(f"{TORUS}, count: 6, oversubscription: 2{pods_of(6 // pods, pods)}", f"collective: moe\n    moe: {moe}")
    assert (rows[0].network.unit, rows[0].groups, rows[0].ranks) == (1, 1, 36)


def test_a_small_cluster_stands_for_itself() -> None:
    """A skew sets all machines apart: all of them are the unit."""
    moe = MOE.replace("EXPERTS", "24").replace("OTHER", "skew: 0.6")
    rows = compare(f"{TORUS}, count: 4{pods_of(2, 2)}", f"collective: moe\n    moe: {moe}")
    assert (rows[0].network.unit, rows[0].copies) == (4, 1)


@pytest.mark.parametrize(
    ("topology", "size"),
    [
        ("machine: trn1, count: 6", 32),  # two chips on a NIC
        ("machine: trn2, count: 6, leaf_ports: 8, spines_per_plane: 2", 48),
        ("machine: switch, machine_parameters: {n: 4, bandwidth: 50 GB/s}, count: 6, leaf_ports: 8, spines_per_plane: 2", 8),
        ("machine: trn3_gen2, machine_parameters: {racks: 1}, count: 2", 24),
    ],
)
def test_machines(topology: str, size: int) -> None:
    moe = MOE.replace("EXPERTS", str(size)).replace("OTHER", "skew: 0.5")
    rows = compare(topology, f"collective: moe\n    algorithm: direct\n    groups: {{of: {size}}}\n    moe: {moe}")
    assert {row.phase for row in rows} == {"dispatch", "combine", "total"}


def test_every_algorithm_in_groups_of_machines() -> None:
    case = "collective: all_reduce\n    algorithm: all\n    groups: {of: 12}\n    sizes: [1 KiB, 8 MiB]"
    rows = compare(f"{TORUS}, count: 6, nic_share: 2{pods_of(3, 2)}", case)
    assert {row.algorithm for row in rows} >= {"ring", "mesh", "hierarchical", "double_tree"}


def test_a_matrix_for_every_group_and_costs_of_destinations() -> None:
    matrix = [["1 MiB", 0, "2 MiB"], ["3 MiB", "1 KiB", 0], [0, "5 MiB", 0]]
    text = str(matrix).replace("'", "")
    case = f"collective: all_to_all_v\n    groups: {{of: 3}}\n    matrix: {text}\n    "
    (row,) = compare(f"{TORUS}, count: 3", case + "overheads: {per_destination: 1 us, alpha_link: 0, alpha_efa: 0}")
    assert row.size == 5 * 2**20


def test_lists_of_equal_groups_are_groups_of_so_many() -> None:
    lists = [list(range(first, first + 12)) for first in range(0, 36, 12)]
    topology = f"{TORUS}, count: 6, fold: true"
    case = "collective: all_gather\n    algorithm: ring\n    sizes: 1 MiB\n    groups: "
    ours, theirs = run(topology, case + str(lists)), run(topology, case + "{of: 12}")
    assert [row.to_dict() for row in ours] == [row.to_dict() for row in theirs]


def test_latency_is_that_of_ranks_that_get_something() -> None:
    """Chip 5 alone has slow ways in; with no expert there nothing has to take them."""
    graph = efa_cluster("torus", 4, fold=True, machine_parameters={"dims": [3, 2], "bandwidth": [9e10, 4e10]})
    for before in graph.predecessors(5):
        graph.edges[before, 5]["latency"] = 1e-3
    places = np.ones((6, 6))
    for there, expected in ((1.0, 1e-3 + 15e-6), (0.0, 15e-6)):
        places[:, 5] = there
        limits = find_limits(Network(graph), "all_to_all_v", [np.arange(6)], matrix=[places], overheads=Overheads(0.0, 15e-6))
        (latency,) = (limit.fixed for limit in limits if limit.name == "latency")
        assert latency == pytest.approx(expected, rel=1e-12)


# --- a million chips ----------------------------------------------------------------------------------------------------

LARGE = "tokens: 1024, hidden: 4096, top_k: 8, dispatch_bytes: 1, combine_bytes: 2, deduplicate: rank"


def bytes_of(row: Result) -> dict[str, float]:
    return {tier.tier: tier.bytes for tier in row.tiers()}


def test_bytes_of_experts_within_ultraservers() -> None:
    """Four experts on each of 64 ranks; a token is sent once to each rank that has one of its 8 of 256. On a 4x4x4 torus the
    mean distance from rank to rank is 1 in each dimension: 0, 1, 2, 1 links."""
    case = f"collective: moe\n    algorithm: direct\n    groups: {{of: 64}}\n    moe: {{{LARGE}, experts: 256}}"
    rows = run("machine: trn2_ultraserver, count: 15625", case)
    for row, width in zip(rows, (1, 2)):
        sent = 1024 * 4096 * width * (1 - comb(252, 8) / comb(256, 8))  # to each rank
        found = bytes_of(row)
        for dimension in "xyz":
            assert found[f"neuronlink-{dimension}"] == pytest.approx(1_000_000 * 64 * sent, rel=1e-12)
        assert [found[tier] for tier in ("nic", "efa", "leaf", "spine")] == [0, 0, 0, 0]
    assert (rows[0].groups, rows[0].transfers) == (15_625, 15_625 * 64 * 63)


def test_bytes_of_experts_on_several_ultraservers() -> None:
    """Groups of 5 machines, which 125 pods have in 5 pods: one expert on each of 320 ranks."""
    case = f"collective: moe\n    algorithm: direct\n    groups: {{of: 320}}\n    moe: {{{LARGE}, experts: 320}}"
    rows = run("machine: trn2_ultraserver, count: 15625", case)
    for row, width in zip(rows, (1, 2)):
        sent = 1024 * 4096 * width * 8 / 320
        found = bytes_of(row)
        for tier in ("nic", "efa", "leaf", "spine"):  # up and down
            assert found[tier] == pytest.approx(2 * 1_000_000 * 256 * sent, rel=1e-12)
        for dimension in "xyz":
            assert found[f"neuronlink-{dimension}"] == pytest.approx(1_000_000 * 64 * sent, rel=1e-12)
    assert rows[0].note.endswith("5 machines stand for 15,625, dealt to 125 pods in turn")


@pytest.mark.parametrize("each", [0.5, 2])
def test_bytes_of_one_group_of_a_million(each: float) -> None:
    """Half an expert or two on every rank: what a rank sends goes to all machines alike, to its own too."""
    m, g, pods = 6_944, 144, 217
    experts = round(m * g * each)
    rows = run(f"machine: trn3_gen2, count: {m}", f"collective: moe\n    moe: {{{LARGE}, experts: {experts}}}")
    members = max(1, round(each))
    chosen = 8 / experts if members == 1 else 1 - (experts - 8) * (experts - 9) / (experts * (experts - 1))
    for row, width in zip(rows, (1, 2)):
        to_each_machine = 1024 * 4096 * width * chosen * g * min(each, 1)
        found = bytes_of(row)
        for tier in ("nic", "efa", "leaf"):
            assert found[tier] == pytest.approx(2 * m * g * (m - 1) * to_each_machine, rel=1e-11)
        assert found["spine"] == pytest.approx(2 * m * g * (m - m // pods) * to_each_machine, rel=1e-11)


# --- what is refused, and --verify --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (
            "collective: moe\n    moe: {MOE, experts: 1000000, skew: 0.6}",
            "in one group of 1,000,000 ranks this layer has a skew",
        ),
        (
            "collective: moe\n    moe: {MOE, experts: 256}",
            "puts 256 experts unevenly on 15,625 machines.* at most 1,024 ranks",
        ),
        ("collective: moe\n    moe: {MOE, experts: 64, sample: true}\n    groups: {of: 64}", "a sample of tokens differs"),
        (
            "collective: moe\n    moe: {MOE, experts: 1600}\n    groups: {of: 1600}",
            "groups of 1,600 ranks .* 1,599,000,000 flows",
        ),
        ("collective: all_gather\n    sizes: 1 MiB\n    groups: {of: 250}", "groups of 250 ranks are whole in units of 8,000"),
        ("collective: all_gather\n    sizes: 1 MiB\n    groups: {of: 3}", "groups of 3 ranks do not part all ranks"),
        ("collective: all_gather\n    sizes: 1 MiB\n    groups: 64", "do not part all ranks .* 4,032 flows, about 0.0 GiB"),
        ("collective: all_gather\n    sizes: 1 MiB\n    groups: [[0, 1], [2, 3]]", "do not part all ranks .* 4 flows"),
    ],
)
def test_refusals(case: str, message: str) -> None:
    with pytest.raises(InputError, match=re.compile(message)):
        run("machine: trn2_ultraserver, count: 15625", case.replace("MOE", LARGE))


@pytest.mark.parametrize(
    ("groups", "message"),
    [("{of: 64}", "a slow link in one machine sets its replica groups apart"), ("{of: 320}", "needs fold=False")],
)
def test_a_slow_link_in_one_machine_is_refused(groups: str, message: str) -> None:
    slow = "machine: trn2_ultraserver, count: 15625, degrade: [{cable: [nic 12, tor 0], factor: 0.5}]"
    with pytest.raises(InputError, match=message):
        run(slow, f"collective: all_gather\n    sizes: 1 MiB\n    groups: {groups}")


def test_a_stated_unit_holds_whole_groups() -> None:
    case = "collective: all_gather\n    algorithm: ring\n    sizes: 1 MiB\n    groups: {of: 12}"
    (row,) = run(f"{TORUS}, count: 12, fold: 4", case)
    (other,) = run(f"{TORUS}, count: 12, fold: true", case)
    assert (row.network.unit, other.network.unit) == (4, 2)
    assert row.time == pytest.approx(other.time, rel=1e-12)
    with pytest.raises(InputError, match="fold: 3 does not suit these groups, which need 2"):
        run(f"{TORUS}, count: 12, fold: 3", case)
    with pytest.raises(InputError, match="fold: 4 does not suit these groups, which need 1"):
        run(f"{TORUS}, count: 12, fold: 4", "collective: all_gather\n    sizes: 1 MiB")


@pytest.mark.parametrize(
    "case",
    [
        "collective: all_reduce\n    algorithm: hierarchical\n    sizes: 1 MiB\n    groups: {of: 32}",
        f"collective: moe\n    groups: {{of: 8}}\n    moe: {MOE}".replace("EXPERTS", "16").replace("OTHER", "skew: 0.6"),
        f"collective: moe\n    moe: {MOE}".replace("EXPERTS", "2048").replace("OTHER", "skew: 0"),
    ],
)
def test_verify(case: str) -> None:
    row = run("machine: trn1, count: 2048", case, verify=True)[0]
    assert row.proof.endswith("folding checked against 5 clusters in full")


def test_verify_finds_a_wrong_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were more units than there are."""
    monkeypatch.setattr(
        Placement, "streams", property(lambda placed: np.full(placed.schedule.transfers, 2.0 * placed.copies - 1))
    )
    case = "collective: all_gather\n    algorithm: mesh\n    sizes: 1 MiB\n    groups: {of: 32}"
    with pytest.raises(InternalError, match="folded and in full, 4 machines differ in time"):
        run("machine: trn1, count: 2048", case, verify=True)
