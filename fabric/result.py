"""What came out of a run: one Result for each case, algorithm and size. Tables, plots and JSON are views of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
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
    full: float  # fraction of the time that it was saturated
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
    group_times: tuple[float, ...]
    bounds: tuple[Bound, ...]
    network: Network
    carried: F64  # bytes
    busy: F64  # s during which it carried anything
    full: F64  # s during which it was saturated
    steps: int
    transfers: int
    classes: int  # simulated for those transfers
    epochs: int
    certified: bool = False  # max-min fairness checked in every epoch
    case: str = ""
    type: str = "uint8"
    width: float = 1.0  # bytes of an element of that type
    phase: str = ""  # MoE: dispatch, combine, total
    note: str = ""  # of the schedule
    proof: str = ""  # how the schedule was proved
    warnings: tuple[str, ...] = field(default=())

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
                    "full": busy.full,
                    "source": busy.source,
                    "confidence": busy.confidence,
                }
                for busy in self.bottleneck(links)
            ],
        }


@dataclass(frozen=True)
class Run:
    """All rows of a scenario."""

    scenario: str
    version: str
    results: tuple[Result, ...]

    def to_dict(self, links: int = 5) -> dict[str, object]:
        """Plain values, as `fabric-sim run --json` prints them."""
        return {
            "scenario": self.scenario,
            "version": self.version,
            "results": [result.to_dict(links) for result in self.results],
        }
