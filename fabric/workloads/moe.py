"""Mixture of experts: the bytes that dispatch and combine move between ranks.

Every rank holds `tokens` tokens; a router sends each to `top_k` distinct experts, which lie on the ranks in order: expert e
of E is on rank floor(e n / E) of n. Dispatch takes a copy of the token there, combine brings the result back.

The popularity of the experts is log-normal, p_e ~ exp(skew * N(0, 1)), which is what is seen in DeepSeek-V3 (skew 0.6);
0 is a balanced router. A token's experts are the k largest of log p_e + Gumbel noise. That is the same as a race: expert e
arrives after an exponential time of rate p_e, and the first k to arrive are chosen. The race gives the expectation as one
integral, and the sample as one draw of noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TOLERANCE = 1e-12  # of a probability
AT_ONCE = 8_000_000  # numbers held at once, 64 MB


@dataclass(frozen=True)
class Gating:
    """One mixture-of-experts layer.

    tokens: of each rank. hidden: elements of a token. dispatch_bytes, combine_bytes: of an element.
    scale_block, scale_bytes: `scale_bytes` of scale factors travel with each `scale_block` elements of a dispatched token.
    deduplicate: "none" sends a copy for each chosen expert, "rank" one for each rank that holds a chosen expert.
    sample: draw the experts of every token; otherwise the matrices are expectations.
    seed: of the popularity and of the draw.
    """

    tokens: int
    hidden: int
    top_k: int
    experts: int
    dispatch_bytes: float
    combine_bytes: float
    scale_block: int = 0
    scale_bytes: float = 0.0
    skew: float = 0.0
    deduplicate: str = "none"
    sample: bool = False
    seed: int = 0

    @property
    def dispatch_copy(self) -> float:
        """Bytes of one copy of a token on its way to an expert."""
        blocks = -(-self.hidden // self.scale_block) if self.scale_block else 0
        return self.hidden * self.dispatch_bytes + blocks * self.scale_bytes

    @property
    def combine_copy(self) -> float:
        """Bytes of one result on its way back."""
        return self.hidden * self.combine_bytes

    def matrices(self, ranks: int, group: int = 0) -> tuple[F64, F64]:
        """Dispatch and combine: [ranks, ranks] bytes from each rank (row) to each; the diagonal is what stays.

        group: the number of the replica group; it varies the draw.
        """
        copies = self.copies(ranks, group)
        return copies * self.dispatch_copy, copies.T * self.combine_copy

    def copies(self, ranks: int, group: int = 0) -> F64:
        """[ranks, ranks] copies of tokens, from the rank that has the token (row) to those of its experts."""
        bounds = placement(self.experts, ranks)
        return self._drawn(bounds, group) if self.sample else np.tile(self._expected(bounds), (ranks, 1))

    def between_places(self, machines: int, each: int) -> tuple[F64, F64]:
        """Dispatch and combine in one group of all ranks of equal machines: [each, each] bytes from each place of a machine to
        each place of any machine.

        For a balanced router whose experts are a multiple of the machines, and expectations: so all machines are alike.
        """
        if self.skew or self.sample or self.experts % machines:
            raise ValueError("machines are alike with a balanced router, expectations and as many experts on each")
        copies = np.tile(self._expected(placement(self.experts, machines * each)[: each + 1]), (each, 1))
        return copies * self.dispatch_copy, copies.T * self.combine_copy

    def _expected(self, bounds: I64) -> F64:
        """Copies that a rank sends to each of the ranks with the experts bounds[i] .. bounds[i + 1] - 1."""
        if self.deduplicate == "rank":
            return self.tokens * hit(self.popularity(), bounds, self.top_k)
        if self.skew == 0:
            return self.tokens * self.top_k / self.experts * np.diff(bounds)
        chosen = hit(self.popularity(), np.arange(self.experts + 1), self.top_k)
        return self.tokens * _sums(chosen, bounds)

    def popularity(self) -> F64:
        """[experts] rates of the race, sum 1; the same for every rank and group."""
        if self.skew == 0:
            return np.full(self.experts, 1 / self.experts)
        logarithm = self.skew * np.random.default_rng([self.seed, 0]).standard_normal(self.experts)
        weight = np.exp(logarithm - logarithm.max())
        return np.asarray(weight / weight.sum())

    def _drawn(self, bounds: I64, group: int) -> F64:
        """Copies of tokens whose experts are drawn, rank by rank."""
        ranks = len(bounds) - 1
        rng = np.random.default_rng([self.seed, 1, group])
        rate, home = self.popularity().astype(np.float32), np.repeat(np.arange(ranks), np.diff(bounds))
        out = np.empty((ranks, ranks))
        for rank in range(ranks):
            arrival = rng.standard_exponential((self.tokens, self.experts), dtype=np.float32) / rate
            where = home[np.argpartition(arrival, self.top_k - 1, axis=1)[:, : self.top_k]]
            if self.deduplicate == "rank":
                where = np.unique(where + ranks * np.arange(self.tokens)[:, None]) % ranks
            out[rank] = np.bincount(where.ravel(), minlength=ranks)
        return out


def placement(experts: int, ranks: int) -> I64:
    """[ranks + 1] the experts of rank r are bounds[r] .. bounds[r + 1] - 1.

    >>> placement(8, 3)
    array([0, 3, 6, 8])
    """
    return -(-np.arange(ranks + 1) * experts // ranks)


def uniform_hit(experts: int, members: int, top_k: int) -> float:
    """Probability that a token of a balanced router goes to at least one of `members` of the experts.

    >>> round(2 * uniform_hit(256, 128, 8), 4)
    1.993
    """
    every = comb(experts, top_k)
    return (every - comb(experts - members, top_k)) / every


def hit(rate: F64, bounds: I64, top_k: int) -> F64:
    """[g] probability that a token goes to at least one expert of each group bounds[i] .. bounds[i + 1] - 1.

    rate: [E] rates of the race, positive, sum 1. With R the rate of a group, its first member arrives at a time of density
    R exp(-R t), and is chosen if at most k - 1 of the others have come before:

        integral over t of  R exp(-R t) P(at most k - 1 of the others before t)

    The number of others before t is a sum of independent Bernoulli variables; its distribution is a product of their
    polynomials, truncated after k terms, all of them positive. Over ln t the integrand is analytic and dies off at both
    ends, so the trapezoid rule converges exponentially: the step is halved until the result stands still. As single
    experts the probabilities sum to k, which tests check.
    """
    counts = np.diff(bounds)
    if np.ptp(rate) == 0:  # a balanced router
        by_count = {int(count): uniform_hit(len(rate), int(count), top_k) for count in np.unique(counts)}
        return np.array([by_count[int(count)] for count in counts])
    group_rate = _sums(rate, bounds)
    low, high = np.log(1e-17), np.log(50 / rate.min())  # outside, the integral is below 1e-17 and exp(-50)
    result = np.full(len(counts), np.inf)
    for steps in (128, 256, 512, 1024, 2048, 4096):
        before, result = result, np.zeros(len(counts))
        times = np.exp(np.linspace(low, high, steps + 1))
        for time in np.array_split(times, 1 + len(counts) * top_k * steps // AT_ONCE):
            few = _at_most(np.exp(-np.outer(rate, time)), bounds, top_k - 1)
            moment = group_rate[:, None] * time
            result += (moment * np.exp(-moment) * few).sum(axis=1) * (high - low) / steps
        if np.abs(result - before).max() <= TOLERANCE:
            break
    return result


def _sums(values: F64, bounds: I64) -> F64:
    """[g] the sum of each group, 0 for an empty one."""
    return np.asarray(np.add.reduceat(np.append(values, 0.0), bounds[:-1]) * (np.diff(bounds) > 0))


def _at_most(late: F64, bounds: I64, most: int) -> F64:
    """[g, m] probability that at most `most` of the experts outside each group have arrived, at each of m times.

    late: [E, m] probability that an expert has not arrived.
    """
    experts, times = late.shape
    ahead = np.zeros((len(bounds), times, most + 1))  # of the experts before each bound
    count = np.zeros((times, most + 1))
    count[:, 0] = 1.0
    for expert in range(experts + 1):
        ahead[bounds == expert] = count
        if expert < experts:
            count = _arrive(count, late[expert])
    out = np.empty((len(bounds) - 1, times))
    count = np.zeros((times, most + 1))
    count[:, 0] = 1.0
    for group in range(len(bounds) - 2, -1, -1):
        # At most `most` in all: j before the group and at most `most - j` after it.
        out[group] = (ahead[group] * np.cumsum(count, axis=1)[:, ::-1]).sum(axis=1)
        for expert in range(bounds[group + 1] - 1, bounds[group] - 1, -1):
            count = _arrive(count, late[expert])
    return out


def _arrive(count: F64, late: F64) -> F64:
    """[m, k] the distribution of the number of arrivals with one more expert in it."""
    out = count * late[:, None]
    out[:, 1:] += count[:, :-1] * (1 - late[:, None])
    return out
