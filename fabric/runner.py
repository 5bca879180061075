"""From a scenario to its results: every case, every algorithm that was asked for, every size."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from topologies import with_efficiency
from topologies.parts import MOST_CHIPS

from .bind import Overheads, Placement, bind, route_traffic
from .bounds import Limit, bounds_at, find_limits, lower_bounds
from .bounds.concurrent import flow_limit
from .bounds.needs import Needs
from .collectives import FITTED, applicable, build, smaller
from .collectives.conditions import prove
from .engine import Classes, Flows
from .engine.symmetry import find_classes
from .errors import InputError, unknown
from .folding import check_folding
from .layout import Layout, NotApplicable
from .network import Network
from .result import Bound, Result, Run
from .routing import Rule
from .scenario import ELEMENT_BYTES, Case, Scenario, read_scenario
from .scenario import Overheads as OverheadChoice
from .schedule import Schedule
from .simulation import in_sequence, least_time, measure
from .version import VERSION
from .workloads.moe import Gating

if TYPE_CHECKING:
    import networkx as nx

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Progress = Callable[[str], None]

ROUNDING = 1e-9  # times that differ by less are equal
PAIR_ABOVE = 32  # ranks of a machine of which two prove a folded schedule; of smaller machines three or four do
KEPT_AT_MOST = 2_000_000  # flows of a case kept in memory while the other cases are looked at
PROVE_AT_MOST = 400_000  # chunks moved, about 0.5 s; beyond it a smaller schedule of the same kind is proved


def run(scenario: str | Path | Scenario, overrides: Sequence[str] = (), progress: Progress | None = None) -> Run:
    """Run a scenario: the name of one that ships, a path, or one that is loaded already.

    overrides: `key.path=value` texts. Raises InputError with every fault of the file.
    """
    loaded = scenario if isinstance(scenario, Scenario) else load(scenario, overrides)
    return run_scenario(loaded, progress or (lambda text: None))


def load(scenario: str | Path, overrides: Sequence[str] = ()) -> Scenario:
    """Read a scenario: the name of one that ships, the path of a file, or "-" for standard input."""
    if scenario == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed")
        return read_scenario(sys.stdin.read(), name="standard input", overrides=overrides)
    path = Path(scenario)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return read_scenario(path, overrides=overrides)
    known = _shipped_files()
    if str(scenario) not in known:
        raise InputError(unknown("scenario", str(scenario), list(known)) + "; or the path of a .yaml file")
    return read_scenario(known[str(scenario)], name=f"{scenario}.yaml", overrides=overrides)


def build_topology(topology: str, parameters: Sequence[str] = ()) -> nx.DiGraph[int]:
    """The graph of a builder by name, or of a node-link JSON or GraphML file; parameters are `key=value` texts."""
    case = {"collective": "all_to_all", "sizes": "1 KiB"}
    return one_case(topology, topology, case, [f"topology.{one}" for one in parameters]).graph(0)


def bounds_of(
    topology: str, collective: str, size: str, overrides: Sequence[str] = (), solving: Progress | None = None
) -> list[Bound]:
    """The lower bounds of a collective on all ranks of a builder or a file, the largest first; its own overheads, if known.

    solving: says how the linear program of maximum concurrent flow gets on; without it that bound is left out.
    """
    scenario = one_case(topology, topology, {"collective": collective, "sizes": size}, overrides)
    if not scenario.cases[0].sizes:
        raise InputError(f"{topology}: {collective} has bytes of its own; its bounds stand beside its runs")
    network = Network(scenario.graph(0))
    known = network.graph.graph.get("overheads", {})
    overheads = Overheads(known.get("alpha_link", 0.0), known.get("alpha_efa", 0.0))
    groups = [np.arange(network.ranks)]
    limits = find_limits(network, scenario.cases[0].collective, groups, overheads=overheads)
    if solving is not None:
        limits.append(flow_limit(network, Needs.of(scenario.cases[0].collective, groups, None), solving))
    return sorted(bounds_at(limits, scenario.cases[0].sizes[0]), key=lambda bound: -bound.time)


def one_case(name: str, topology: str, case: Mapping[str, object], overrides: Sequence[str] = ()) -> Scenario:
    """A scenario of one case on a builder or a file, so that all is read, checked and refused as in a file of its own."""
    from topologies import BUILDERS

    key = "file" if Path(topology).suffix or Path(topology).exists() else "builder"
    if key == "builder" and topology not in BUILDERS:
        raise InputError(unknown("topology", topology, list(BUILDERS)) + "; or the path of a .json or .graphml file")
    text = json.dumps({"name": name, "cases": [{"name": name, "topology": {key: topology}, **case}]})
    try:
        return read_scenario(text, name=name, overrides=overrides)
    except InputError as error:
        raise InputError(re.sub(rf"^{re.escape(name)}:1:\d+: ", f"{name}: ", line) for line in error.faults) from None


def shipped() -> dict[str, str]:
    """The scenarios that ship: name and one line each."""
    found = {}
    for name, path in _shipped_files().items():
        lines = path.read_text(encoding="utf-8").splitlines()
        line = next((line for line in lines if line.startswith("description:")), "")
        found[name] = line.partition(":")[2].strip().strip("\"'")
    return found


def _shipped_files() -> dict[str, Path]:
    with as_file(files("scenarios")) as folder:
        return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def run_scenario(scenario: Scenario, progress: Progress) -> Run:
    """Every case of a scenario, in order; none is run before all are found to be sound."""
    faults: list[str] = []
    runs: list[CaseRun] = []
    for index, case in enumerate(scenario.cases):
        progress(f"{case.name}: fabric")
        try:
            runs.append(CaseRun(scenario, index, progress))
            runs[-1].check()
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return Run(scenario.name, VERSION, tuple(result for one in runs for result in one.results()))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Schedules of one algorithm for every replica group, bound to flows; what holds for one size holds for any.

    Proofs and symmetry classes are worked out when they are first needed: an algorithm that cannot win needs none.
    """

    placements: list[Placement]
    flows: Flows  # at the sizes of the placements' schedules
    prove: Callable[[], str]

    @cached_property
    def proof(self) -> str:
        """How the schedules were proved. Raises ProofError if they do not do what their collective says."""
        return self.prove()

    @cached_property
    def classes(self) -> Classes | None:
        """The symmetry classes of the flows; those of any other size are the same."""
        return find_classes(self.flows)

    def placed(self, size: float | None) -> list[Placement]:
        """The placements at a size, bytes; None leaves them as they are."""
        if size is None:
            return self.placements
        return [Placement(placed.schedule.scaled(size), placed.ranks) for placed in self.placements]

    def sized(self, size: float | None) -> Flows:
        """The flows at a size."""
        if size is None:
            return self.flows
        factors = [size / placed.schedule.size for placed in self.placements]
        factor = np.repeat(factors, [placed.schedule.transfers for placed in self.placements])
        return replace(self.flows, bytes=self.flows.bytes * factor)


class CaseRun:
    """One case of a scenario on its fabric."""

    def __init__(self, scenario: Scenario, index: int, progress: Progress) -> None:
        self.scenario, self.index, self.progress = scenario, index, progress
        self.case: Case = scenario.cases[index]
        settings = scenario.settings(self.case)
        graph = scenario.graph(index)
        self.network = Network(graph if settings.efficiency == 1 else with_efficiency(graph, settings.efficiency))
        self.groups = self._groups()
        self.rule = Rule(settings.routing.rule, settings.routing.ties, scenario.seed)
        self.overheads = self._overheads(settings.overheads)

    def results(self) -> Iterator[Result]:
        """A row for each size; three for each number of tokens of a MoE layer."""
        if self.case.moe is not None:
            for tokens in self.case.moe.tokens:
                yield from self._moe(tokens)
        elif self.case.matrix is not None:
            yield self._own_bytes([np.array(self.case.matrix, dtype=np.float64)] * len(self.groups))
        else:
            yield from self._sizes()

    def check(self) -> None:
        """Raise InputError for what only the fabric can tell: whether the algorithm serves it, whether there are routes."""
        if self.case.sizes is None:
            return
        prepared, _ = self._candidates
        if sum(len(one.flows.bytes) for one in prepared) > KEPT_AT_MOST:
            del self._candidates  # made again when the case comes to be run

    # --- collectives of one size --------------------------------------------------------------------------------------

    def _sizes(self) -> Iterator[Result]:
        for size in self.case.sizes or []:
            if self.case.algorithm.name == "all":
                yield from self.every(size)
            else:
                yield self.fastest(size)

    def fastest(self, size: float) -> Result:
        """The row of the algorithm that is asked for, or of the fastest one that applies."""
        prepared, limits = self._candidates
        return self._fastest(prepared, bounds_at(limits, size), size)

    def every(self, size: float) -> Iterator[Result]:
        """A row for each algorithm that applies, the fastest first."""
        prepared, limits = self._candidates
        rows = [self._measure(one, one.sized(size), bounds_at(limits, size), size) for one in prepared]
        yield from sorted(rows, key=lambda row: row.time)

    @cached_property
    def _candidates(self) -> tuple[list[Prepared], list[Limit]]:
        """The algorithms asked for, and what no algorithm can beat; both for any size."""
        prepared = [self._prepare(schedules) for schedules in self._schedules()]
        first = [placed.schedule for placed in prepared[0].placements]
        matrices = [schedule.matrix for schedule in first] if self.case.collective == "permute" else None
        limits = find_limits(
            self.network, self.case.collective, self.groups, matrix=matrices, root=first[0].root, overheads=self.overheads
        )
        return prepared, limits

    def _fastest(self, prepared: list[Prepared], bounds: list[Bound], size: float | None, **about: Any) -> Result:
        """The row of the fastest algorithm; ties go to fewer steps. Those that cannot win are not run."""
        flows = [one.sized(size) for one in prepared]
        least = [least_time(one) if len(prepared) > 1 else 0.0 for one in flows]
        best: Result | None = None
        for index in sorted(range(len(prepared)), key=least.__getitem__):
            if best is not None and least[index] > best.time * (1 + ROUNDING):
                break
            row = self._measure(prepared[index], flows[index], bounds, size, **about)
            if best is None or _wins(row, best):
                best = row
        assert best is not None
        return best

    def _schedules(self) -> list[list[Schedule]]:
        """For each algorithm that is asked for, or with `auto` applies: a schedule for every group."""
        if (fitted := FITTED.get(self.case.collective, {}).get(self.case.algorithm.name)) is not None:
            return [[self._fit(fitted, group) for group in self.groups]]
        layouts = [self.network.layout(group) for group in self.groups]
        tried = {layout: self._tried(self.case.collective, layout) for layout in set(layouts)}
        return self._serving([tried[layout] for layout in layouts])

    def _fit(self, algorithm: Callable[..., Schedule], group: I64) -> Schedule:
        """The schedule of an algorithm that is made for the fabric."""
        say = partial(_say_of, self.progress, self.case.name)
        try:
            return algorithm(self.network, group, say, **self.case.algorithm.parameters)
        except (NotApplicable, InputError) as reason:
            raise InputError(f"{self._where('algorithm')}: {reason}") from None

    def _tried(self, collective: str, layout: Layout, **options: Any) -> dict[str, Schedule | str]:
        """What the algorithm that is asked for, or with `auto` each one, makes of a layout: a schedule, or why it does not."""
        wanted = self.case.algorithm
        options |= wanted.parameters
        try:
            if wanted.name in ("auto", "all"):
                return dict(applicable(collective, layout, **options))
            return {wanted.name: build(collective, wanted.name, layout, **options)}
        except (NotApplicable, InputError) as reason:
            raise InputError(f"{self._where('algorithm')}: {reason}") from None

    def _serving(self, tried: list[dict[str, Schedule | str]]) -> list[list[Schedule]]:
        """For each algorithm that serves every group: its schedules."""
        choices = [[one[name] for one in tried] for name in tried[0]]
        found = [[one for one in choice if isinstance(one, Schedule)] for choice in choices]
        whole = [schedules for schedules in found if len(schedules) == len(tried)]
        if not whole:
            reasons = "; ".join(sorted({one for choice in choices for one in choice if isinstance(one, str)}))
            raise InputError(f"{self._where('algorithm')}: no algorithm serves these ranks: {reasons}")
        return whole

    # --- collectives with their own bytes -----------------------------------------------------------------------------

    def _own_bytes(self, matrices: list[F64], **about: Any) -> Result:
        """all_to_all_v: the bytes from each rank to each, for every group."""
        groups = zip(self.groups, matrices)
        tried = [self._tried("all_to_all_v", self.network.layout(group), matrix=matrix) for group, matrix in groups]
        prepared = [self._prepare(schedules) for schedules in self._serving(tried)]
        size = max(placed.schedule.size for placed in prepared[0].placements)
        bounds = lower_bounds(self.network, "all_to_all_v", self.groups, size, matrix=matrices, overheads=self.overheads)
        return self._fastest(prepared, bounds, None, **about)

    def _moe(self, tokens: int) -> Iterator[Result]:
        """Dispatch, combine, and the two one after the other."""
        dispatch, combine = zip(*(self._gating(tokens).matrices(len(g), i) for i, g in enumerate(self.groups)))
        phases = [self._own_bytes(list(dispatch), phase="dispatch"), self._own_bytes(list(combine), phase="combine")]
        yield from phases
        yield in_sequence(phases, phase="total")

    def _gating(self, tokens: int) -> Gating:
        moe = self.case.moe
        assert moe is not None
        scale = moe.dispatch_scale
        return Gating(
            tokens,
            moe.hidden,
            moe.top_k,
            moe.experts,
            moe.dispatch_bytes,
            moe.combine_bytes,
            scale_block=scale.block if scale else 0,
            scale_bytes=scale.bytes if scale else 0.0,
            skew=moe.skew,
            deduplicate=moe.deduplicate,
            sample=moe.sample,
            seed=self.scenario.seed,
        )

    # --- what they share ----------------------------------------------------------------------------------------------

    def _prepare(self, schedules: list[Schedule]) -> Prepared:
        """Route and bind the schedules of one algorithm, one for each group."""
        first = schedules[0]
        self.progress(f"{self.case.name}: {first.algorithm}, {sum(s.transfers for s in schedules)} transfers")
        placements = [Placement(schedule, group) for schedule, group in zip(schedules, self.groups)]
        try:
            traffic = route_traffic(self.network, placements, self.rule)
        except InputError as error:
            place = self._where("topology" if self.rule.name == "default" else "routing")
            raise InputError(f"{place}: {fault}" for fault in error.faults) from None
        flows = bind(self.network, placements, traffic, self.overheads)
        return Prepared(placements, flows, partial(self._prove_all, placements))

    def _prove_all(self, placements: list[Placement]) -> str:
        once = {id(placed.schedule): placed for placed in placements}
        return "; ".join(dict.fromkeys(self._prove(placed.schedule, placed.ranks) for placed in once.values()))

    def _prove(self, schedule: Schedule, group: I64) -> str:
        if (len(schedule.chunk_ids) <= PROVE_AT_MOST and schedule.image is None) or schedule.routes is not None:
            return str(prove(schedule))
        layout = smaller(self.network.layout(group))
        if schedule.image is not None and layout.inner is not None and layout.inner.ranks > PAIR_ABOVE:
            layout = replace(layout, servers=2, ranks=2 * layout.inner.ranks)
        options: dict[str, Any] = dict(schedule.options)
        if "root" in options:
            options["root"] = 0  # ranks are counted from it, so any will do
        same = build(schedule.collective, schedule.algorithm, layout, **options)
        proof = f"{prove(same)} (the same algorithm on {layout.ranks} ranks)"
        if schedule.image is not None and self.scenario.verify:
            proof += f"; {check_folding(self.network.graph, schedule, self.rule, self.overheads)}"
        return proof

    def _measure(self, prepared: Prepared, flows: Flows, bounds: list[Bound], size: float | None, **about: Any) -> Result:
        return measure(
            self.network,
            prepared.placed(size),
            flows,
            bounds,
            classes=prepared.classes,
            verify=self.scenario.verify,
            case=self.case.name,
            type=self.case.type,
            width=ELEMENT_BYTES[self.case.type],
            proof=prepared.proof,
            **about,
        )

    def _groups(self) -> list[I64]:
        groups = self.case.groups
        if self.network.pods and (groups != "all" or self.case.sizes is None):
            ranks = self.network.ranks * self.network.graph.graph["servers"]
            raise InputError(
                f"{self._where()}: a folded cluster runs one collective of equal sizes on all its ranks. Replica groups, "
                "mixture-of-experts layers and matrices set ranks apart: they need fold: false, which builds up to "
                f"{MOST_CHIPS:,} chips, and a matrix of {ranks:,} ranks alone would take {8 * ranks**2 / 2**30:,.0f} GiB"
            )
        if self.network.ranks < 2:
            raise InputError(f"{self._where('topology')}: a collective needs at least two ranks")
        if groups == "all":
            return [np.arange(self.network.ranks)]
        if isinstance(groups, int):
            return [np.arange(groups)]
        return [np.array(group, dtype=np.int64) for group in groups]

    def _overheads(self, wanted: OverheadChoice) -> Overheads:
        """The delays asked for, those of the fabric where nothing is said."""
        alphas = {"alpha_link": wanted.alpha_link, "alpha_efa": wanted.alpha_efa}
        if "nic" not in self.network.kind:
            alphas["alpha_efa"] = wanted.alpha_efa or 0.0  # nothing crosses a NIC
        known = self.network.graph.graph.get("overheads", {})
        for name in [name for name, alpha in alphas.items() if alpha is None]:
            if name not in known:
                fabric = self.network.graph.graph.get("name", "this fabric")
                raise InputError(
                    f"{self._where('topology')}: no default {name} is known of {fabric}: "
                    f"say `overheads: none`, or `overheads: {{{name}: 1.3 us}}` with a time of your own"
                )
            alphas[name] = known[name]
        return Overheads(
            **{name: alpha or 0.0 for name, alpha in alphas.items()},
            start=wanted.start,
            per_destination=wanted.per_destination,
            latency=wanted.link_latency == "default",
        )

    def _where(self, *path: str) -> str:
        return self.scenario.where("cases", self.index, *path)


def _say_of(say: Progress, case: str, text: str) -> None:
    say(f"{case}: {text}")


def _wins(row: Result, best: Result) -> bool:
    """Faster, or as fast in fewer steps."""
    tie = abs(row.time - best.time) <= best.time * ROUNDING
    return row.steps < best.steps if tie else row.time < best.time
