"""What came out of a run: one Result for each case, algorithm and size. Tables, plots and JSON are views of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .version import VERSION

if TYPE_CHECKING:
    from .engine import History
    from .network import Network

F64 = NDArray[np.float64]

# busbw = algbw x factor(n): nccl-tests, doc/PERFORMANCE.md; nccom-test uses the same factors.
BUSBW_FACTORS: Mapping[str, Callable[[int], float]] = {
    "all_reduce": lambda n: 2 * (n - 1) / n,
    "all_gather": lambda n: (n - 1) / n,
    "reduce_scatter": lambda n: (n - 1) / n,
    "all_to_all": lambda n: (n - 1) / n,
    "all_to_all_v": lambda n: (n - 1) / n,
    "broadcast": lambda n: 1.0,
    "reduce": lambda n: 1.0,
    "gather": lambda n: (n - 1) / n,
    "scatter": lambda n: (n - 1) / n,
    "permute": lambda n: 1.0,
}


@dataclass(frozen=True)
class Bound:
    """A time that no schedule can beat on this fabric."""

    name: str  # "injection", "cut cross-rack", "latency", ...
    time: float  # s
    detail: str = ""  # one sentence: what it counts


@dataclass(frozen=True)
class Tier:
    """The links (or resources) of one tier together."""

    tier: str
    links: int
    bytes: float  # carried by all of them
    utilisation_mean: float  # carried / (bandwidth x time)
    utilisation_max: float


@dataclass(frozen=True)
class Busy:
    """One capacity as the report names it."""

    name: str
    tier: str
    bandwidth: float  # bytes/s
    bytes: float
    utilisation: float
    full: float  # fraction of the time that it was saturated; nan where a class of links is not alike in this
    source: str
    confidence: str


@dataclass(frozen=True, eq=False)
class Result:
    """One row. Times in s, sizes in bytes, arrays [K] over the network's capacities (links first, then resources)."""

    collective: str  # all_reduce, ..., all_to_all_v; phase tells MoE's rows apart
    algorithm: str
    options: dict[str, object]  # the algorithm's resolved parameters
    ranks: int  # of one replica group
    size: float
    time: float
    group_times: tuple[float, ...]  # of each replica group, in a folded cluster of those of one unit
    bounds: tuple[Bound, ...]
    network: Network
    carried: F64  # bytes
    busy: F64  # s during which it carried anything
    full: F64  # s during which it was saturated
    steps: int
    transfers: int
    classes: int  # simulated for those transfers
    epochs: int
    history: History | None = None  # what the capacities carried over time; none of several runs in one row
    certified: bool = False  # max-min fairness checked in every epoch
    case: str = ""
    type: str = "uint8"
    width: float = 1.0  # bytes of an element of that type
    phase: str = ""  # MoE: dispatch, combine, total
    tokens: int = 0  # MoE: of each rank
    note: str = ""  # of the schedule
    proof: str = ""  # how the schedule was proved
    warnings: tuple[str, ...] = field(default=())
    copies: int = 1  # units of a folded cluster, each with such replica groups

    @property
    def groups(self) -> int:
        """How many replica groups run at the same time."""
        return len(self.group_times) * self.copies

    @property
    def label(self) -> str:
        """The algorithm, and those of its tiers where it has some: "hierarchical(bucket/ring)"."""
        if "outer" not in self.options:
            return self.algorithm
        inner = self.options["inner"]
        inside = dict.fromkeys(inner) if isinstance(inner, tuple) else [str(inner)]
        return f"{self.algorithm}({'+'.join(inside)}/{self.options['outer']})"

    @property
    def count(self) -> int:
        """Elements in `size`, as nccom-test counts them."""
        return round(self.size / self.width)

    @property
    def algbw(self) -> float:
        """size / time, bytes/s."""
        return self.size / self.time if self.time > 0 else 0.0

    @property
    def busbw(self) -> float:
        """algbw times nccl-tests' factor, bytes/s; algbw itself for what is none of its collectives (a custom schedule)."""
        factor = BUSBW_FACTORS.get(self.collective)
        return self.algbw * factor(self.ranks) if factor else self.algbw

    @property
    def bound(self) -> Bound:
        """The largest lower bound."""
        return max(self.bounds, key=lambda bound: bound.time)

    @property
    def gap(self) -> float:
        """time / lower bound, at least 1; nan where both are 0."""
        bound = self.bound.time
        return self.time / bound if bound > 0 else float("nan")

    @property
    def utilisation(self) -> F64:
        """[K] carried / (capacity x time)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            used = self.carried / (self.network.capacity * self.time)
        return np.nan_to_num(used, nan=0.0, posinf=0.0)

    def tiers(self) -> list[Tier]:
        """Utilisation by tier, in the network's order of tiers; a folded link counts as many as it stands for."""
        network, utilisation = self.network, self.utilisation
        out = []
        for index, tier in enumerate(network.tiers):
            mine = network.tier == index
            weight = network.multiplicity[mine]
            out.append(
                Tier(
                    tier,
                    int(weight.sum()),
                    float((self.carried[mine] * weight).sum()),
                    float(np.average(utilisation[mine], weights=weight)),
                    float(utilisation[mine].max()),
                )
            )
        return out

    def bottleneck(self, count: int = 5) -> list[Busy]:
        """The busiest capacities by utilisation, ties in the network's order."""
        network, utilisation = self.network, self.utilisation
        # Rounded, so that links that are equal but for rounding keep their order.
        order = np.lexsort((np.arange(len(utilisation)), -np.round(utilisation, 9)))[:count]
        return [
            Busy(
                network.names[k],
                network.tiers[network.tier[k]],
                float(network.capacity[k]),
                float(self.carried[k]),
                float(utilisation[k]),
                float(self.full[k] / self.time) if self.time > 0 else 0.0,
                network.sources[k],
                network.confidences[k],
            )
            for k in order
        ]

    def to_dict(self, links: int = 5) -> dict[str, object]:
        """Plain values; the names are stable (docs/scenario.md)."""
        graph = self.network.graph.graph
        return {
            "case": self.case,
            "topology": graph.get("name", ""),
            "preset": graph.get("preset", ""),
            "collective": self.collective,
            "phase": self.phase,
            "tokens": self.tokens,
            "algorithm": self.algorithm,
            "options": self.options,
            "ranks": self.ranks,
            "size_bytes": int(self.size) if self.size.is_integer() else self.size,
            "count": self.count,
            "type": self.type,
            "time_s": self.time,
            "algbw_Bps": self.algbw,
            "busbw_Bps": self.busbw,
            "bound_s": self.bound.time,
            "bound": self.bound.name,
            "gap": self.gap if self.gap == self.gap else None,
            "bounds": [{"bound": b.name, "bound_s": b.time, "detail": b.detail} for b in self.bounds],
            "groups": self.groups,
            "groups_s": list(self.group_times),
            "steps": self.steps,
            "transfers": self.transfers,
            "classes": self.classes,
            "epochs": self.epochs,
            "certified": self.certified,
            "proof": self.proof,
            "note": self.note,
            "warnings": list(self.warnings),
            "tiers": [
                {
                    "tier": tier.tier,
                    "links": tier.links,
                    "bytes": tier.bytes,
                    "utilisation_mean": tier.utilisation_mean,
                    "utilisation_max": tier.utilisation_max,
                }
                for tier in self.tiers()
            ],
            "bottleneck": [
                {
                    "link": busy.name,
                    "tier": busy.tier,
                    "bandwidth_Bps": busy.bandwidth,
                    "bytes": busy.bytes,
                    "utilisation": busy.utilisation,
                    "full": busy.full if busy.full == busy.full else None,
                    "source": busy.source,
                    "confidence": busy.confidence,
                }
                for busy in self.bottleneck(links)
            ],
        }


@dataclass(frozen=True)
class Run:
    """All rows of a scenario; those finished by then where it was interrupted."""

    scenario: str
    version: str
    results: tuple[Result, ...]
    partial: bool = False

    @classmethod
    def of(cls, scenario: str, rows: Iterable[Result]) -> Run:
        """Take rows as they come. Ctrl-C raises Interruption with those that were finished, if there are any."""
        results: list[Result] = []
        try:
            results.extend(rows)  # those before an interruption stay
        except KeyboardInterrupt:
            if not results:
                raise
            raise Interruption(cls(scenario, VERSION, tuple(results), partial=True)) from None
        return cls(scenario, VERSION, tuple(results))

    def to_dict(self, links: int = 5) -> dict[str, object]:
        """Plain values, as `fabric-sim run --json` prints them."""
        return {
            "scenario": self.scenario,
            "version": self.version,
            "partial": self.partial,
            "results": [result.to_dict(links) for result in self.results],
        }


class Interruption(KeyboardInterrupt):
    """Ctrl-C in the middle of a run; `run` holds the rows that were finished."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"interrupted after {len(run.results)} results")
        self.run = run
