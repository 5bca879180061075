"""One case of a scenario: its fabric, the algorithms that serve it, proved and timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topologies import with_efficiency

from .bind import Overheads, Placement, bind, route_traffic
from .bounds import Limit, bounds_at, find_limits
from .bounds.concurrent import flow_limit
from .bounds.needs import Needs
from .collectives import FITTED, applicable, build
from .engine import Classes, Engine, Flows
from .engine.symmetry import find_classes
from .errors import InputError
from .folding import check_folding
from .groups import ReplicaGroups, replica_groups
from .layout import Layout, NotApplicable
from .network import Network
from .proofs import prove_all
from .result import Bound, Result
from .routing import Rule
from .scenario import ELEMENT_BYTES, Case, Scenario
from .scenario import Overheads as OverheadChoice
from .schedule import Schedule
from .simulation import in_sequence, least_time, measure
from .slow_machines import Unserved, refusal
from .workloads.moe import Gating

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Progress = Callable[[str], None]

ROUNDING = 1e-9  # times that differ by less are equal
KEPT_AT_MOST = 2_000_000  # flows of a case kept in memory while the other cases are looked at


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
        return [replace(placed, schedule=placed.schedule.scaled(size)) for placed in self.placements]

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
        self.groups, self.copies = self._groups()
        self.rule = Rule(settings.routing.rule, settings.routing.ties, scenario.seed)
        self.overheads = self._overheads(settings.overheads)

    def results(self) -> Iterator[Result]:
        """A row for each size; three for each number of tokens of a MoE layer."""
        if self.case.moe is not None:
            for tokens in self.case.moe.tokens:
                yield from self._moe(tokens)
        elif self.case.matrix is not None:
            yield from self._of_matrix([np.array(self.case.matrix, dtype=np.float64)] * len(self.groups))
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
        return self._every(prepared, bounds_at(limits, size), size)

    @cached_property
    def _candidates(self) -> tuple[list[Prepared], list[Limit]]:
        """The algorithms asked for, and what no algorithm can beat; both for any size."""
        prepared = [self._prepare(schedules) for schedules in self._schedules()]
        first = [placed.schedule for placed in prepared[0].placements]
        matrices = [schedule.matrix for schedule in first] if self.case.collective == "permute" else None
        return prepared, self.limits(self.case.collective, self.groups, matrices, first[0].root)

    def limits(self, collective: str, groups: Sequence[I64], matrix: Sequence[F64] | None = None, root: int = 0) -> list[Limit]:
        """What no algorithm can beat, for any size; with `bound: lp` also what no routing can."""
        found = find_limits(
            self.network, collective, groups, matrix=matrix, root=root, overheads=self.overheads, copies=self.copies
        )
        if self.scenario.bound == "lp":
            try:
                say = partial(_say_of, self.progress, self.case.name)
                found.append(flow_limit(self.network, Needs.of(collective, groups, matrix, root), say))
            except InputError as reason:
                raise InputError(f"{self.scenario.where('bound')}: {reason}") from None
        return found

    def _every(self, prepared: list[Prepared], bounds: list[Bound], size: float | None) -> Iterator[Result]:
        rows = [self._attempt(one, one.sized(size), bounds, size) for one in prepared]
        yield from sorted(self._warned(rows), key=lambda row: row.time)

    def _fastest(self, prepared: list[Prepared], bounds: list[Bound], size: float | None, **about: Any) -> Result:
        """The row of the fastest algorithm; ties go to fewer steps. Those that cannot win are not run."""
        flows = [one.sized(size) for one in prepared]
        least = [least_time(one) if len(prepared) > 1 else 0.0 for one in flows]
        best: Result | None = None
        refusals: list[Result | str] = []
        for index in sorted(range(len(prepared)), key=least.__getitem__):
            if best is not None and least[index] > best.time * (1 + ROUNDING):
                break
            row = self._attempt(prepared[index], flows[index], bounds, size, **about)
            if isinstance(row, str):
                refusals.append(row)
            elif best is None or _wins(row, best):
                best = row
        return self._warned([*refusals, *([best] if best else [])])[0]

    def _attempt(self, prepared: Prepared, flows: Flows, bounds: list[Bound], size: float | None, **about: Any) -> Result | str:
        """A row, or why an algorithm cannot be timed with slow links in single machines of a folded cluster."""
        try:
            return self._measure(prepared, flows, bounds, size, **about)
        except Unserved as reason:
            schedule = prepared.placements[0].schedule
            return f"left out: {schedule.algorithm} ({schedule.note.partition(';')[0]}): {reason}"

    def _warned(self, rows: list[Result | str]) -> list[Result]:
        """The rows, which say what was left out and why. Raises InputError where there is no row."""
        refusals = tuple(dict.fromkeys(row for row in rows if isinstance(row, str)))
        found = [replace(row, warnings=(*row.warnings, *refusals)) for row in rows if isinstance(row, Result)]
        if not found:
            raise InputError(f"{self._where('algorithm')}: {'; '.join(refusals)}")
        return found

    def _schedules(self) -> list[list[Schedule]]:
        """For each algorithm that is asked for, or with `auto` applies: a schedule for every group."""
        if (fitted := FITTED.get(self.case.collective, {}).get(self.case.algorithm.name)) is not None:
            return [[self._fit(fitted, group) for group in self.groups]]
        layouts = [self.network.layout(group, self.copies) for group in self.groups]
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
            schedule = build(collective, wanted.name, layout, **options)
            if reason := refusal(self.network, schedule):
                raise InputError(reason)
            return {wanted.name: schedule}
        except (NotApplicable, InputError) as error:
            raise InputError(f"{self._where('algorithm')}: {error}") from None

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

    def _own_bytes(self, matrices: list[F64]) -> tuple[list[Prepared], list[Bound]]:
        """all_to_all_v: the algorithms for the bytes from each rank to each of every group, and what none can beat."""
        layouts = [self.network.layout(group, self.copies) for group in self.groups]
        tried = [self._tried("all_to_all_v", layout, matrix=matrix) for layout, matrix in zip(layouts, matrices)]
        prepared = [self._prepare(schedules) for schedules in self._serving(tried)]
        size = max(placed.schedule.size for placed in prepared[0].placements)
        return prepared, bounds_at(self.limits("all_to_all_v", self.groups, matrices), size)

    def _of_matrix(self, matrices: list[F64]) -> Iterator[Result]:
        prepared, bounds = self._own_bytes(matrices)
        if self.case.algorithm.name == "all":
            yield from self._every(prepared, bounds, None)
        else:
            yield self._fastest(prepared, bounds, None)

    def _moe(self, tokens: int) -> Iterator[Result]:
        """Dispatch, combine, and the two one after the other."""
        gating = self._gating(tokens)
        if self.copies == self.network.copies:
            dispatch, combine = zip(*(gating.matrices(len(group), number) for number, group in enumerate(self.groups)))
        else:
            dispatch, combine = zip(gating.between_places(self.network.copies, self.network.ranks))
        matrices = {"dispatch": dispatch, "combine": combine}
        phases = [self._fastest(*self._own_bytes(list(one)), None, phase=name, tokens=tokens) for name, one in matrices.items()]
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
        placements = [Placement(schedule, group, self.copies) for schedule, group in zip(schedules, self.groups)]
        try:
            traffic = route_traffic(self.network, placements, self.rule)
        except InputError as error:
            place = self._where("topology" if self.rule.name == "default" else "routing")
            raise InputError(f"{place}: {fault}" for fault in error.faults) from None
        flows = bind(self.network, placements, traffic, self.overheads)
        return Prepared(placements, flows, partial(self._prove, placements))

    def _measure(self, prepared: Prepared, flows: Flows, bounds: list[Bound], size: float | None, **about: Any) -> Result:
        return measure(
            self.network,
            prepared.placed(size),
            flows,
            bounds,
            classes=prepared.classes,
            verify=self.scenario.verify,
            progress=self._tell,
            case=self.case.name,
            type=self.case.type,
            width=ELEMENT_BYTES[self.case.type],
            proof=prepared.proof,
            **about,
        )

    def _prove(self, placements: list[Placement]) -> str:
        proof = prove_all(self.network, placements)
        if self.network.pods and self.scenario.verify:
            proof += f"; {check_folding(self.network.graph, placements[0].schedule, self.rule, self.overheads)}"
        return proof

    def _groups(self) -> ReplicaGroups:
        if self.network.ranks < 2:
            raise InputError(f"{self._where('topology')}: a collective needs at least two ranks")
        try:
            return replica_groups(self.case, self.network)
        except ValueError as reason:
            raise InputError(f"{self._where()}: {reason}") from None

    def _tell(self, engine: Engine) -> None:
        self.progress(f"{self.case.name}: {engine}")

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
