"""What a scenario is: the keys of the file, their kinds, defaults and meanings.

Inside the model quantities are numbers in bytes, seconds and bytes/s; in the file they are text with a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from topologies import BUILDERS, Graph

from ..collectives import ALGORITHMS, ALIASES
from ..units import MOST_BYTES
from .document import Places
from .fields import Faults, Kind, Short, quantity, read_efficiency, read_groups, read_matrix, read_node, word, write_matrix
from .quantities import expand_sizes, read_size, read_time, size_text, time_text

#: What a case may run: the collectives, and the two all-to-alls of a mixture-of-experts layer.
COLLECTIVES = (*ALGORITHMS, "moe")
ROUTINGS = ("default", "dimension_order", "shortest", "spray", "ecmp", "trn3", "cluster", "cores")
PLOTS = ("latency", "busbw", "heatmap", "fabric")
#: Bytes of an element of each type.
ELEMENT_BYTES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("uint8", "int8", "fp8"), 1),
        **dict.fromkeys(("bf16", "fp16", "int16", "uint16"), 2),
        **dict.fromkeys(("fp32", "int32", "uint32"), 4),
        **dict.fromkeys(("fp64", "int64", "uint64"), 8),
    }
)

Size = Annotated[float, quantity(read_size, size_text, "64 MiB")]
Time = Annotated[float, quantity(read_time, time_text, "1.3 us")]
Text = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]*$")]
Whole = Annotated[int, Field(ge=1)]
Width = Annotated[float, Field(gt=0)]
Efficiency = Annotated[
    float | str,
    Kind(read_efficiency, {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"const": "default"}]}),
]
Groups = Annotated[
    str | int | dict[str, int] | list[list[int]],
    Kind(
        read_groups,
        {
            "anyOf": [
                {"const": "all"},
                {"type": "integer", "minimum": 2},
                {
                    "type": "object",
                    "properties": {"of": {"type": "integer", "minimum": 2}},
                    "required": ["of"],
                    "additionalProperties": False,
                },
                {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2}},
            ]
        },
    ),
]
MATRIX = (
    "bytes from each rank (row) to each rank, for all_to_all_v: rows of sizes, or `{file: m.csv, unit: 1 KiB}`, a CSV file in "
    "the scenario's folder whose plain numbers are each so many units"
)
Matrix = Annotated[
    list[list[float]],
    Kind(
        read_matrix,
        {
            "anyOf": [
                {"type": "array", "items": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"const": 0}]}}},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string"}, "unit": {"type": "string", "examples": ["1 KiB"]}},
                    "required": ["file", "unit"],
                    "additionalProperties": False,
                },
            ]
        },
        write_matrix,
    ),
]
Node = Annotated[int | str, Kind(read_node, {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]})]


class Model(BaseModel):
    """Unknown keys are faults, nothing is coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Open(Model):
    """A model whose other keys are the parameters of a builder or an algorithm."""

    model_config = ConfigDict(extra="allow")

    @property
    def parameters(self) -> dict[str, Any]:
        """The keys that the model does not name, as they stand in the file."""
        return dict(self.model_extra or {})


# --- delays and routes ---------------------------------------------------------------------------------------------------


def _read_alpha(value: object) -> float | None:
    return None if value == "default" else read_time(value)


Alpha = Annotated[
    float | None,
    Kind(
        _read_alpha,
        {"anyOf": [{"type": "string"}, {"const": 0}], "examples": ["default", "1.3 us"]},
        lambda value: "default" if value is None else time_text(value),
    ),
]


class Overheads(Model):
    """Fixed delays. `none` stands for no delay at all, link latencies included; `default` for the fabric's own."""

    alpha_link: Alpha = Field(None, description="of a transfer that crosses no NIC; default: the fabric's")
    alpha_efa: Alpha = Field(None, description="of a transfer that crosses a NIC; default: the fabric's")
    start: Time = Field(0.0, description="of starting a collective")
    per_destination: Time = Field(0.0, description="of a rank, for each destination that it sends to in a step")
    link_latency: Annotated[str, word("link_latency", ("default", "none"))] = Field(
        "default", description="default: the links' own latencies; none: zero"
    )


NO_OVERHEADS: Mapping[str, object] = MappingProxyType(
    {"alpha_link": 0, "alpha_efa": 0, "start": 0, "per_destination": 0, "link_latency": "none"}
)
_OVERHEAD_WORDS = word("overheads", ("none", "default"))


def _expand_overheads(value: object) -> object:
    if not isinstance(value, str):
        return value
    return dict(NO_OVERHEADS) if _OVERHEAD_WORDS.read(value) == "none" else {}


class Routing(Model):
    """How transfers find their way; the rule alone may be given as a word."""

    rule: Annotated[str, word("routing", ROUTINGS)] = Field("default", description="default: the topology's own rule")
    ties: Annotated[str, word("ties", ("split", "positive"))] = Field(
        "split", description="dimension order at half the length of an even ring: half each way, or all one way"
    )


def _expand_rule(value: object) -> object:
    return {"rule": value} if isinstance(value, str) else value


AnyOverheads = Annotated[Overheads, Short(_expand_overheads, _OVERHEAD_WORDS.schema)]
AnyRouting = Annotated[Routing, Short(_expand_rule, {"enum": list(ROUTINGS)})]


# --- fabric --------------------------------------------------------------------------------------------------------------


Pair = Annotated[list[Node], Field(min_length=2, max_length=2)]


class Degrade(Model):
    """A cable (both directions) or a link (one direction) that is down or slow; nodes by number or by name. Of a folded
    cluster, slow links inside single machines and up to their ToRs, by rank or by name in the cluster in full."""

    cable: Pair | None = Field(None, description="its two ends")
    link: Pair | None = Field(None, description="where it starts and where it ends")
    down: bool = Field(False, description="carries nothing")
    factor: float | None = Field(None, gt=0, lt=1, description="of the bandwidth that is left")

    @model_validator(mode="after")
    def _one_of_each(self) -> Degrade:
        if (self.cable is None) == (self.link is None):
            raise ValueError("expected either a cable or a link, a pair of nodes")
        if self.down == (self.factor is not None):
            raise ValueError("expected either down: true or a factor between 0 and 1")
        return self

    @property
    def pair(self) -> tuple[int | str, int | str]:
        """The two ends."""
        a, b = self.cable or self.link or []
        return a, b


class Topology(Open):
    """A builder with its parameters (`bandwidth` and `latency` with a unit), or a file (node-link JSON or GraphML)."""

    builder: Annotated[str, word("builder", tuple(BUILDERS))] | None = None
    file: Text | None = Field(None, description="path relative to the scenario's folder")
    degrade: list[Degrade] = Field(default_factory=list)

    @model_validator(mode="after")
    def _builder_or_file(self) -> Topology:
        if (self.builder is None) == (self.file is None):
            raise ValueError(f"expected either a builder or a file; builders: {', '.join(BUILDERS)}")
        return self


# --- work ----------------------------------------------------------------------------------------------------------------


class Algorithm(Open):
    """An algorithm and its options; the name alone may be given as a word. `auto` tries every one that applies."""

    name: Text = "auto"


def _expand_name(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


class Scale(Model):
    """Scale factors that travel with a token: `bytes` for each block of `block` elements (4 per 128 for FP8)."""

    block: Whole
    bytes: Width


Tokens = Annotated[
    list[Whole],
    Field(min_length=1),
    Short(lambda value: [value] if isinstance(value, int) else value, {"type": "integer", "minimum": 1}),
]


class Moe(Model):
    """Dispatch and combine of a mixture-of-experts layer. `dispatch_bytes` and `combine_bytes` are bytes per element."""

    tokens: Tokens = Field(description="tokens per rank; takes the place of sizes")
    hidden: Whole = Field(description="elements of a token")
    top_k: Whole = Field(description="experts of a token")
    experts: Whole = Field(description="experts in all; rank r of n holds those with floor(expert * n / experts) = r")
    dispatch_bytes: Width
    combine_bytes: Width
    dispatch_scale: Scale | None = None
    skew: float = Field(0.0, ge=0, le=10, description="sigma of the log-normal popularity of the experts; 0 is uniform")
    deduplicate: Annotated[str, word("deduplicate", ("none", "rank"))] = Field(
        "none", description="none: one copy of a token per chosen expert; rank: one per rank that holds a chosen expert"
    )
    sample: bool = Field(False, description="draw the tokens' experts instead of taking the expected matrix")

    @model_validator(mode="after")
    def _enough_experts(self) -> Moe:
        if self.top_k > self.experts:
            raise Faults([(("top_k",), f"a token goes to {self.top_k} of only {self.experts} experts")])
        return self

    @model_validator(mode="after")
    def _not_too_many_bytes(self) -> Moe:
        width = max(self.dispatch_bytes, self.combine_bytes) + (self.dispatch_scale.bytes if self.dispatch_scale else 0)
        copies = self.top_k * self.hidden
        above = [index for index, count in enumerate(self.tokens) if count * copies > MOST_BYTES / width]
        if above:
            raise Faults([(("tokens", index), "the tokens of a rank are more than 8 PiB, the largest size") for index in above])
        return self


Sizes = Annotated[
    list[Size],
    Field(min_length=1),
    Short(expand_sizes, {"type": "string", "description": "a size, or a range", "examples": ["64 MiB", "64 KiB..1 GiB x4"]}),
]


class MatrixFile(Model):
    """A matrix in a CSV file: plain numbers, each so many times `unit`."""

    file: Text
    unit: Size


class Case(Model):
    """One fabric, one collective, its sizes. `routing`, `overheads` and `efficiency` override the scenario's."""

    name: Text
    topology: Topology
    collective: Annotated[str, word("collective", COLLECTIVES, ALIASES)]
    algorithm: Annotated[Algorithm, Short(_expand_name, {"type": "string"})] = Field(default_factory=lambda: Algorithm())
    sizes: Sizes | None = Field(None, description="S of nccl-tests; moe and all_to_all_v have none")
    groups: Groups = Field(
        "all", description="replica groups: all ranks, the first n, {of: n} for all ranks in groups of n, or lists"
    )
    type: Annotated[str, word("type", tuple(ELEMENT_BYTES))] = Field("uint8", description="element type, for the count")
    moe: Moe | None = None
    matrix: Matrix | None = Field(None, description=MATRIX)
    routing: AnyRouting | None = None
    overheads: AnyOverheads | None = None
    efficiency: Efficiency | None = None


def _distinct(words: list[str]) -> list[str]:
    twice = [((index,), f"{word!r} is already in the list") for index, word in enumerate(words) if word in words[:index]]
    if twice:
        raise Faults(twice)
    return words


Plots = Annotated[list[Annotated[str, word("plot", PLOTS)]], AfterValidator(_distinct)]


class Report(Model):
    """What a report shows."""

    links: Annotated[int, Field(ge=0)] = Field(5, description="busiest links that are named")


# --- the whole -----------------------------------------------------------------------------------------------------------


@dataclass
class Origin:
    """Where a scenario is from; no part of what it says, so all are equal."""

    places: Places = field(default_factory=Places, compare=False)
    graphs: tuple[Graph, ...] = field(default=(), compare=False, repr=False)


class Settings(NamedTuple):
    """What holds for a case: its own settings, else the scenario's."""

    routing: Routing
    overheads: Overheads
    efficiency: float | str


class Scenario(Model):
    """A scenario file."""

    name: Text
    description: Annotated[str, Field(pattern=r"^[^\r\n]*$")] = Field("", description="one line")
    cases: list[Case] = Field(min_length=1)
    overheads: AnyOverheads = Field(default_factory=lambda: Overheads())
    routing: AnyRouting = Field(default_factory=lambda: Routing())
    efficiency: Efficiency = Field(1.0, description="factor of every bandwidth, or default: payload over raw rate")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of everything random")
    report: Report = Field(default_factory=lambda: Report())
    plots: Plots = Field(default_factory=lambda: list(PLOTS), description="what -o draws")
    verify: bool = Field(False, description="certify that every rate is max-min fair")
    bound: Annotated[str, word("bound", ("lp",))] | None = Field(
        None, description="lp: also maximum concurrent flow, of all-to-alls on at most 144 ranks"
    )

    _origin: Origin = PrivateAttr(default_factory=Origin)

    def where(self, *path: str | int, key: bool = False) -> str:
        """`file:line:column` of the value at a path (or of its key), such as where("cases", 0, "groups")."""
        return str(self._origin.places.of(path, key))

    def graph(self, index: int) -> Graph:
        """The graph of a case's topology, built when the file was read. Equal topologies share one: do not change it."""
        return self._origin.graphs[index]

    def settings(self, case: Case) -> Settings:
        """Routing, overheads and efficiency of a case."""
        return Settings(
            case.routing or self.routing,
            case.overheads or self.overheads,
            self.efficiency if case.efficiency is None else case.efficiency,
        )
