"""Schedule files for the command line: one on a fabric, proved, placed and timed; and one of our schedules as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .bind import Placement, bind, route_traffic
from .bounds import bounds_at
from .case_run import I64, CaseRun, Progress
from .collectives import FITTED, build, canonical
from .collectives.conditions import prove
from .collectives.slices import sliced
from .engine.symmetry import find_classes
from .errors import InputError
from .formats import Judgement, Lowering, Program, Written, judge, lowering_of, read_schedule, timed, write_goal, write_msccl
from .formats.program import COLLECTIVES
from .layout import Layout, NotApplicable
from .network import Network
from .result import Bound, Result, Run
from .runner import one_case
from .scenario import Flag, Scenario
from .schedule import Schedule
from .simulation import measure
from .units import format_size

UNKNOWN = Bound("none", 0.0, "without a collective nothing says what has to move")


class FileRun:
    """A schedule file on a topology: read and checked at once, timed when asked for.

    topology: a builder's name or a file. size: as in a scenario, one or several; None only where the file states its bytes.
    place: the rank of the machine for each rank of the file; the first ones where nothing is said. compute: False sets the
    file's compute to 0. slices: into how many its transfers are cut, to pipeline. algorithm: of the collective nodes of a
    trace, as `lowering_of` reads it. overrides: `key.path=value` of the scenario that this stands for. Raises InputError.
    """

    def __init__(
        self,
        path: str | Path,
        topology: str,
        size: str | None = None,
        *,
        place: Sequence[int] | None = None,
        compute: bool = True,
        slices: int = 1,
        algorithm: str | None = None,
        overrides: Sequence[str | Flag] = (),
    ) -> None:
        self.file = Path(path).name
        self.program = read_schedule(path, lowering=_lowering(algorithm, topology, place, overrides))
        self.judgement = _sound(self.program, self.file)
        if size is None and self.program.size is None:
            raise InputError(f"{self.file}: give --size: its transfers are parts of a size, such as 64 MiB")
        self.scenario = _scenario(self.file, self.program, topology, size, overrides)
        self.place = place
        self.schedule = _cut(timed(self.program, compute=compute), slices, self.file)

    def run(self, progress: Progress) -> Run:
        """A row for each size."""
        return Run.of(self.file, self._rows(progress))

    def _rows(self, progress: Progress) -> Iterator[Result]:
        progress(f"{self.file}: fabric")
        case = CaseRun(self.scenario, 0, progress)
        placed = self._placed(case)
        schedule = self.schedule
        placement = [Placement(schedule, placed)]
        progress(f"{self.file}: {schedule.transfers} transfers")
        traffic = route_traffic(case.network, placement, case.rule)
        known = self.program.collective in COLLECTIVES
        limits = case.limits(self.program.collective, [placed]) if known else []
        for size in case.case.sizes or []:
            # A file that states its bytes keeps them: the size is the S that its row is reckoned by.
            scaled = schedule.scaled(size) if self.program.size is None else replace(schedule, stated_size=size)
            sized = [Placement(scaled, placed)]
            flows = bind(case.network, sized, traffic, case.overheads)
            yield measure(
                case.network,
                sized,
                flows,
                bounds_at(limits, size) if known else [UNKNOWN],
                classes=find_classes(flows),
                verify=self.scenario.verify,
                case=self.file,
                proof=str(self.judgement),
                warnings=tuple(self._warnings(size)),
            )

    def _placed(self, case: CaseRun) -> I64:
        """The machine's rank of each rank of the file."""
        count, ranks = self.program.ranks, case.network.ranks
        where = f"{case.network.graph.graph.get('name', 'the topology')} has {ranks}"
        if self.place is None and count > ranks:
            raise InputError(f"{self.file} is a schedule of {count} ranks, and {where}")
        placed = np.asarray(range(count) if self.place is None else self.place, dtype=np.int64)
        if len(placed) != count:
            raise InputError(f"--place: {self.file} has {count} ranks, and {len(placed)} places are given")
        if len(set(placed.tolist())) != count or placed.min() < 0 or placed.max() >= ranks:
            raise InputError(f"--place: expected distinct ranks 0 to {ranks - 1} ({where}), not {placed.tolist()}")
        return placed

    def _warnings(self, size: float) -> list[str]:
        program, warnings = self.program, list(self.program.notes)
        if not program.smallest <= size < program.largest:
            limits = [format_size(size) for size in (program.smallest, program.largest) if size < float("inf")]
            warnings.append(f"{self.file} is meant for sizes from {' to below '.join(limits)}")
        if program.size is not None and size != program.size:
            warnings.append(f"{self.file} states its bytes and keeps them: the size only enters algbw")
        return warnings


def written(collective: str, topology: str, name: str, form: str, size: str | None, overrides: Sequence[str] = ()) -> Written:
    """The schedule of an algorithm for all ranks of a topology in a foreign format, proved; GOAL states bytes and needs a size.

    Raises InputError where the algorithm does not serve the topology or the format cannot hold the schedule.
    """
    if form == "goal" and size is None:
        raise InputError("GOAL states bytes: give --size, such as 64 MiB")
    collective = canonical(collective)
    if name in FITTED.get(collective, {}):
        raise InputError(f"{name} has routes of its own, which neither MSCCL XML nor GOAL holds")
    if collective == "all_to_all_v":
        raise InputError("the schedule of an all_to_all_v follows from its matrix of bytes: there is none of the collective")
    case = {"collective": collective, "algorithm": {"name": name}, "sizes": size or "1 MiB"}
    scenario = one_case(name, topology, case, overrides)
    network = Network(scenario.graph(0))
    parameters = scenario.cases[0].algorithm.parameters
    try:
        schedule = build(collective, name, network.layout(np.arange(network.ranks)), **parameters)
    except NotApplicable as reason:
        raise InputError(f"{name}: {reason}") from None
    if form == "msccl":
        return write_msccl(schedule)
    prove(schedule)
    return write_goal(schedule.scaled((scenario.cases[0].sizes or [1.0])[0]))


def _lowering(
    algorithm: str | None, topology: str, place: Sequence[int] | None, overrides: Sequence[str | Flag]
) -> Lowering | None:
    """How the collective nodes of a trace become transfers on a topology."""
    if algorithm is None:
        return None
    network = Network(one_case(algorithm, topology, {"collective": "all_to_all", "sizes": "1 KiB"}, overrides).graph(0))

    def layout(ranks: Sequence[int]) -> Layout:
        placed = [place[rank] for rank in ranks] if place is not None and max(ranks) < len(place) else ranks
        found = network.layout(np.array(placed, dtype=np.int64))
        return found if found.ranks == len(ranks) else Layout(len(ranks))  # a folded cluster is refused when it comes to run

    return lowering_of(algorithm, layout)


def _cut(schedule: Schedule, slices: int, file: str) -> Schedule:
    try:
        return sliced(schedule, slices)
    except (InputError, NotApplicable) as reason:
        raise InputError(f"{file}: --slices: {reason}") from None


def _sound(program: Program, file: str) -> Judgement:
    """The proof of a program that can be timed."""
    judgement = judge(program)
    if not judgement.holds:
        raise InputError(f"{file}: {judgement}")
    return judgement


def _scenario(file: str, program: Program, topology: str, size: str | None, overrides: Sequence[str | Flag]) -> Scenario:
    """The scenario of one case that has the same fabric, delays and sizes."""
    collective = program.collective if program.collective in COLLECTIVES else "all_to_all"
    sizes = size if size is not None else f"{program.size:.0f} B"
    return one_case(file, topology, {"collective": collective, "sizes": sizes}, overrides)
