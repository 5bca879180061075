"""The replica groups of a case on its fabric; of a folded cluster those in one unit, which stands for all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topologies.parts import MOST_CHIPS

from .engine.memory import BYTES_PER_ENTRY, BYTES_PER_FLOW
from .network import Network
from .scenario import Case
from .scenario.unit import group_size, machines_of_unit, one_stands_for_all

I64 = NDArray[np.int64]

HOPS = 14  # from rank to rank over two ToRs, a leaf, a spine and back


class ReplicaGroups(NamedTuple):
    """ranks: of every group. copies: how many units have these groups; 1 where nothing is folded, and where the machine of a
    folded cluster stands for all ranks."""

    ranks: list[I64]
    copies: int


def replica_groups(case: Case, network: Network) -> ReplicaGroups:
    """The replica groups of a case. ValueError for what a folded cluster cannot run, with what it would take in full."""
    groups, ranks = case.groups, network.ranks
    if network.pods:
        copies = _copies(case, network)
        size = min(ranks, group_size(case, ranks * network.copies))
        return ReplicaGroups(list(np.arange(ranks).reshape(-1, size)), copies)
    if isinstance(groups, list):
        return ReplicaGroups([np.array(group, dtype=np.int64) for group in groups], 1)
    if isinstance(groups, dict):
        return ReplicaGroups(list(np.arange(ranks).reshape(-1, groups["of"])), 1)
    return ReplicaGroups([np.arange(ranks if groups == "all" else int(groups))], 1)


def _copies(case: Case, network: Network) -> int:
    """How many units have the replica groups of the one that is stored; 1 where its machine stands for all ranks."""
    ranks = network.ranks * network.copies
    try:
        unit = machines_of_unit(case, network.graph)
        whole = one_stands_for_all(case, group_size(case, ranks), ranks, network.unit * network.copies)
        if network.unit % unit or (whole and network.unit > 1):
            raise ValueError(f"fold: {network.unit} does not suit these groups, which need {unit}: leave the number out")
        if "degraded" in network.graph.graph and not (whole and case.sizes):
            raise ValueError("a slow link in one machine sets its replica groups apart")
    except ValueError as reason:
        raise ValueError(f"a folded cluster does not run this: {reason}. {_in_full(case.groups, ranks)}") from None
    return 1 if whole else network.copies


def _in_full(groups: str | int | dict[str, int] | list[list[int]], ranks: int) -> str:
    """What it would take to run the replica groups of a folded cluster of so many ranks in full, in words."""
    if isinstance(groups, list):
        flows = sum(len(group) * (len(group) - 1) for group in groups)
    else:
        size = groups["of"] if isinstance(groups, dict) else ranks if isinstance(groups, str) else groups
        flows = (ranks if isinstance(groups, dict) else size) * (size - 1)
    need = flows * (BYTES_PER_FLOW + HOPS * BYTES_PER_ENTRY) / 2**30
    return (
        f"In full (fold: false, up to {MOST_CHIPS:,} chips) an exchange between all ranks of each group "
        f"is {flows:,} flows, about {need:,.1f} GiB"
    )
