"""How many machines of a folded cluster stand for all: as many as hold whole replica groups of a case.

Ranks are counted machine by machine, and equal consecutive groups that fill whole units of u machines look the same after
i -> i + u. So one unit, with its groups in full, stands for all (docs/symmetry.md).
"""

from __future__ import annotations

from math import lcm

from topologies import Graph

from .model import Case

MOST_RANKS = 1024
"""Ranks of a unit. All pairs of them are a million flows, which take a quarter of a minute and 2 GiB."""


def group_size(case: Case, ranks: int) -> int:
    """Ranks of each replica group where all `ranks` are in equal consecutive groups. ValueError with the reason where not."""
    groups = case.groups
    if groups == "all" or groups == ranks:
        return ranks
    if isinstance(groups, dict):
        return groups["of"]
    if isinstance(groups, list):
        size = len(groups[0])
        if len(groups) * size == ranks and all(one == list(range(i * size, i * size + size)) for i, one in enumerate(groups)):
            return size
    raise ValueError("these replica groups do not part all ranks into equal groups of consecutive ranks, as {of: n} does")


def one_stands_for_all(case: Case, size: int, ranks: int, machines: int) -> bool:
    """Whether a case is one group of all ranks in which every machine does the same, so that one machine stands for all."""
    if size != ranks:
        return False
    moe = case.moe
    return case.matrix is None and (moe is None or not (moe.skew or moe.sample or moe.experts % machines))


def machines_of_unit(case: Case, graph: Graph) -> int:
    """How many machines of the folded cluster `graph` have to stand for all: a divisor of their number.

    ValueError with the reason where none will do. A size of groups that is stated has to divide the number of ranks.
    """
    machines, each = int(graph.graph["servers"]), int(graph.graph["machine_ranks"])
    ranks = machines * each
    if case.moe is not None and case.moe.sample:
        raise ValueError("a sample of tokens differs from rank to rank; without it (sample: false) the groups are alike")
    size = group_size(case, ranks)
    if one_stands_for_all(case, size, ranks, machines):
        return 1
    unit = lcm(size, each) // each
    if unit * each > MOST_RANKS:
        raise ValueError(_too_large(case, size, ranks, machines, unit * each))
    return unit


def _too_large(case: Case, size: int, ranks: int, machines: int, held: int) -> str:
    most = f"at most {MOST_RANKS:,} ranks stand for all"
    if size == ranks and case.moe is not None:
        why = "has a skew" if case.moe.skew else f"puts {case.moe.experts:,} experts unevenly on {machines:,} machines"
        return f"in one group of {ranks:,} ranks this layer {why}, which sets machines apart; give groups {{of: n}}: {most}"
    if size == ranks:
        return f"a matrix of {ranks:,} ranks sets machines apart: {most}"
    return f"groups of {size:,} ranks are whole in units of {held:,} ranks, and {most}"
