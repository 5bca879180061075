"""What a collective needs to move between the parts of a fabric, whoever moves it and how; at size 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

MATRIX = ("all_to_all_v", "permute")  # need a matrix of bytes
COLLECTIVES = ("all_gather", "reduce_scatter", "all_reduce", "all_to_all", "broadcast", "reduce", "gather", "scatter", *MATRIX)


@dataclass(frozen=True, eq=False)
class Members:
    """How the groups lie on the parts of a fabric: one entry per group and part that has ranks of it."""

    group: I64
    part: I64
    count: I64


@dataclass(frozen=True, eq=False)
class Needs:
    """A collective in replica groups of at least two ranks.

    groups: their ranks. matrices: of each group [n, n] bytes from rank to rank, with a zero diagonal; None where all pairs are
    alike, and where bytes for several ranks may go together. root: position in every group of the rank where a broadcast or
    scatter starts, a reduce or gather ends.
    """

    collective: str
    groups: list[I64]
    matrices: list[F64] | None = None
    root: int = 0

    @classmethod
    def of(cls, collective: str, groups: Sequence[I64], matrix: F64 | Sequence[F64] | None, root: int = 0) -> Needs:
        """Raises InputError on an unknown collective or a matrix that does not fit."""
        if collective not in COLLECTIVES:
            raise InputError(unknown("collective", collective, COLLECTIVES))
        if (matrix is None) == (collective in MATRIX):
            raise InputError(f"{collective} {'needs a' if matrix is None else 'has no'} matrix of bytes")
        ranks = [np.asarray(group, dtype=np.int64) for group in groups]
        several = [number for number, group in enumerate(ranks) if len(group) > 1]
        if collective in ("gather", "scatter"):
            alone = [_of_root(len(ranks[number]), root, collective) for number in several]
            return cls(collective, [ranks[number] for number in several], alone, root)
        if matrix is None:
            return cls(collective, [ranks[number] for number in several], root=root)
        each = [matrix] * len(ranks) if isinstance(matrix, np.ndarray) and matrix.ndim == 2 else list(matrix)
        matrices = _at_size_one(each, ranks)
        return cls(collective, [ranks[number] for number in several], [matrices[number] for number in several])

    @property
    def pairwise(self) -> bool:
        """Whether every byte goes from one rank to one other."""
        return self.collective == "all_to_all" or self.matrices is not None

    @property
    def sizes(self) -> I64:
        """[G] ranks of each group."""
        return np.array([len(group) for group in self.groups], dtype=np.int64)

    def members(self, labels: I64) -> Members:
        """labels: [nodes] the part of each node."""
        if not self.groups:
            return Members(*np.empty((3, 0), dtype=np.int64))
        parts = int(labels.max()) + 1
        group = np.repeat(np.arange(len(self.groups)), self.sizes)
        key, count = np.unique(group * parts + labels[np.concatenate(self.groups)], return_counts=True)
        return Members(key // parts, key % parts, count)

    def across(self, labels: I64, members: Members) -> tuple[F64, F64]:
        """[parts] bytes that must leave and enter each part, all groups together."""
        parts = int(labels.max()) + 1
        if self.matrices is not None:
            return self._matrices_across(self.matrices, labels, parts)
        ranks, inside = self.sizes[members.group], members.count
        if self.collective in ("broadcast", "reduce"):
            leave, enter = self._rooted(labels, members)
        else:
            leave, enter = crossing(self.collective, inside, ranks)
        return _sums(members.part, leave, parts), _sums(members.part, enter, parts)

    def _rooted(self, labels: I64, members: Members) -> tuple[F64, F64]:
        """Broadcast: all of it must leave the root's part once and enter every other once. Reduce: the reverse."""
        roots = np.array([group[self.root] for group in self.groups], dtype=np.int64)
        rooted = labels[roots][members.group] == members.part
        leave = np.where(rooted & (self.sizes[members.group] > members.count), 1.0, 0.0)
        enter = np.where(rooted, 0.0, 1.0)
        return (leave, enter) if self.collective == "broadcast" else (enter, leave)

    def _matrices_across(self, matrices: list[F64], labels: I64, parts: int) -> tuple[F64, F64]:
        leave, enter = np.zeros(parts), np.zeros(parts)
        for group, matrix in zip(self.groups, matrices):
            mine = labels[group]
            crossing = np.where(mine[:, None] != mine, matrix, 0.0)
            leave += _sums(mine, crossing.sum(axis=1), parts)
            enter += _sums(mine, crossing.sum(axis=0), parts)
        return leave, enter

    def dependent(self, group: int, position: int) -> I64:
        """The ranks of a group that need something of the one at a position in it."""
        ranks = self.groups[group]
        if self.matrices is not None:
            return np.asarray(ranks[self.matrices[group][position] > 0])
        needed = np.arange(len(ranks)) != position
        if self.collective == "broadcast":
            needed &= position == self.root
        if self.collective == "reduce":
            needed &= np.arange(len(ranks)) == self.root
        return np.asarray(ranks[needed])

    def between(self, labels: I64) -> F64:
        """[parts, parts] bytes from each part to each, those that stay in it on the diagonal; for the pairwise ones.

        >>> Needs.of("all_to_all", [np.arange(4)], None).between(np.array([0, 0, 0, 1]))
        array([[2.25, 0.75],
               [0.75, 0.25]])
        """
        parts = int(labels.max()) + 1
        demand = np.zeros((parts, parts))
        for number, group in enumerate(self.groups):
            mine = labels[group]
            if self.matrices is None:
                count = np.bincount(mine, minlength=parts)
                demand += np.outer(count, count) / len(group)
            else:
                np.add.at(demand, (mine[:, None], mine[None, :]), self.matrices[number])
        return demand


def crossing(collective: str, inside: I64, ranks: I64 | int) -> tuple[F64, F64]:
    """Bytes that must leave and enter parts with `inside` of the `ranks` of a group; not for all_to_all_v."""
    outside = ranks - inside
    if collective == "all_to_all":
        # Every rank inside sends 1/n of its buffer to every rank outside, and gets as much.
        return inside * outside / ranks, inside * outside / ranks
    if collective == "all_reduce":
        # What the part contributes to the sum must leave it, and the sum of the others must enter.
        return np.where(outside > 0, 1.0, 0.0), np.where(outside > 0, 1.0, 0.0)
    # all_gather: the blocks inside must leave once, those outside must enter once. reduce_scatter: the reverse.
    once, others = np.where(outside > 0, inside / ranks, 0.0), outside / ranks
    return (once, others) if collective == "all_gather" else (others, once)


def _sums(part: I64, values: F64, parts: int) -> F64:
    return np.bincount(part, values, parts).astype(np.float64)


def _of_root(ranks: int, root: int, collective: str) -> F64:
    """The matrix of a scatter or gather: 1/n of all between the root and each other rank."""
    matrix = np.zeros((ranks, ranks))
    matrix[root] = 1 / ranks
    matrix[root, root] = 0.0
    return matrix if collective == "scatter" else matrix.T


def _at_size_one(matrices: Sequence[F64], groups: list[I64]) -> list[F64]:
    """The matrices with a largest row sum of 1, then without their diagonals, which move nothing."""
    found = [np.array(matrix, dtype=np.float64) for matrix in matrices]
    if len(found) != len(groups):
        raise InputError(f"{len(groups)} groups need a matrix each, not {len(found)}")
    for matrix, group in zip(found, groups):
        if matrix.shape != (len(group), len(group)):
            raise InputError(f"{len(group)} ranks need a matrix of shape {(len(group), len(group))}, not {matrix.shape}")
    if any(not np.isfinite(matrix).all() or (matrix < 0).any() for matrix in found):
        raise InputError("the matrix of bytes must be finite and at least 0 everywhere")
    size = max((matrix.sum(axis=1).max() for matrix in found), default=0.0) or 1.0
    for matrix in found:
        np.fill_diagonal(matrix, 0.0)
    return [matrix / size for matrix in found]
