"""What a collective needs to move between the parts of a fabric, whoever moves it and how; at size 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

COLLECTIVES = ("all_gather", "reduce_scatter", "all_reduce", "all_to_all", "all_to_all_v")


@dataclass(frozen=True, eq=False)
class Members:
    """How the groups lie on the parts of a fabric: one entry per group and part that has ranks of it."""

    group: I64
    part: I64
    count: I64


@dataclass(frozen=True, eq=False)
class Needs:
    """A collective in replica groups of at least two ranks.

    groups: their ranks. matrix: [n, n] bytes from rank to rank of each group, with a zero diagonal; all_to_all_v only.
    """

    collective: str
    groups: list[I64]
    matrix: F64 | None = None

    @classmethod
    def of(cls, collective: str, groups: Sequence[I64], matrix: F64 | None) -> Needs:
        """Raises InputError on an unknown collective or a matrix that does not fit."""
        if collective not in COLLECTIVES:
            raise InputError(unknown("collective", collective, COLLECTIVES))
        if (matrix is None) == (collective == "all_to_all_v"):
            raise InputError(f"{collective} {'needs a' if matrix is None else 'has no'} matrix of bytes")
        ranks = [np.asarray(group, dtype=np.int64) for group in groups if len(group) > 1]
        return cls(collective, ranks, None if matrix is None else _at_size_one(matrix, ranks))

    @property
    def pairwise(self) -> bool:
        """Whether every byte goes from one rank to one other."""
        return self.collective in ("all_to_all", "all_to_all_v")

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
        if self.matrix is not None:
            return self._matrix_across(self.matrix, labels, parts)
        ranks, inside = self.sizes[members.group], members.count
        outside = ranks - inside
        if self.collective == "all_to_all":
            # Every rank inside sends 1/n of its buffer to every rank outside, and gets as much.
            leave = enter = inside * outside / ranks
        elif self.collective == "all_reduce":
            # What the part contributes to the sum must leave it, and the sum of the others must enter.
            leave = enter = np.where(outside > 0, 1.0, 0.0)
        else:
            # all_gather: the blocks inside must leave once, those outside must enter once. reduce_scatter: the reverse.
            leave, enter = np.where(outside > 0, inside / ranks, 0.0), outside / ranks
            if self.collective == "reduce_scatter":
                leave, enter = enter, leave
        return _sums(members.part, leave, parts), _sums(members.part, enter, parts)

    def _matrix_across(self, matrix: F64, labels: I64, parts: int) -> tuple[F64, F64]:
        leave, enter = np.zeros(parts), np.zeros(parts)
        for group in self.groups:
            mine = labels[group]
            crossing = np.where(mine[:, None] != mine, matrix, 0.0)
            leave += _sums(mine, crossing.sum(axis=1), parts)
            enter += _sums(mine, crossing.sum(axis=0), parts)
        return leave, enter

    def between(self, labels: I64) -> F64:
        """[parts, parts] bytes from each part to each, those that stay in it on the diagonal; for the pairwise ones.

        >>> Needs.of("all_to_all", [np.arange(4)], None).between(np.array([0, 0, 0, 1]))
        array([[2.25, 0.75],
               [0.75, 0.25]])
        """
        parts = int(labels.max()) + 1
        demand = np.zeros((parts, parts))
        for group in self.groups:
            mine = labels[group]
            if self.matrix is None:
                count = np.bincount(mine, minlength=parts)
                demand += np.outer(count, count) / len(group)
            else:
                np.add.at(demand, (mine[:, None], mine[None, :]), self.matrix)
        return demand


def _sums(part: I64, values: F64, parts: int) -> F64:
    return np.bincount(part, values, parts).astype(np.float64)


def _at_size_one(matrix: F64, groups: list[I64]) -> F64:
    """The matrix with a largest row sum of 1, then without its diagonal, which moves nothing."""
    matrix = np.array(matrix, dtype=np.float64)
    for group in groups:
        if matrix.shape != (len(group), len(group)):
            raise InputError(f"{len(group)} ranks need a matrix of shape {(len(group),) * 2}, not {matrix.shape}")
    if not np.isfinite(matrix).all() or (matrix < 0).any():
        raise InputError("the matrix of bytes must be finite and at least 0 everywhere")
    size = matrix.sum(axis=1).max(initial=0.0)
    np.fill_diagonal(matrix, 0.0)
    return matrix / size if size else matrix
