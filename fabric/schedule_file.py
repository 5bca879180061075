"""Schedule files for the command line: one on a fabric, proved, placed and timed; and one of our schedules as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .bind import Placement, bind, route_traffic
from .bounds import bounds_at, find_limits
from .collectives import algorithm, canonical
from .collectives.conditions import prove
from .engine.symmetry import find_classes
from .errors import InputError
from .formats import Judgement, Program, Written, judge, read_schedule, timed, write_goal, write_msccl
from .formats.program import COLLECTIVES
from .layout import NotApplicable
from .network import Network
from .result import Bound, Result, Run
from .runner import I64, CaseRun, Progress, one_case
from .scenario import Scenario
from .simulation import measure
from .units import format_size
from .version import VERSION

UNKNOWN = Bound("none", 0.0, "without a collective nothing says what has to move")


class FileRun:
    """A schedule file on a topology: read and checked at once, timed when asked for.

    topology: a builder's name or a file. size: as in a scenario, one or several; None only where the file states its bytes.
    place: the rank of the machine for each rank of the file; the first ones where nothing is said. compute: False sets the
    file's compute to 0. overrides: `key.path=value` of the scenario that this stands for. Raises InputError.
    """

    def __init__(
        self,
        path: str | Path,
        topology: str,
        size: str | None = None,
        *,
        place: Sequence[int] | None = None,
        compute: bool = True,
        overrides: Sequence[str] = (),
    ) -> None:
        self.file = Path(path).name
        self.program = read_schedule(path)
        self.judgement = _sound(self.program, self.file)
        if size is None and self.program.size is None:
            raise InputError(f"{self.file}: give --size: its transfers are parts of a size, such as 64 MiB")
        self.scenario = _scenario(self.file, self.program, topology, size, overrides)
        self.place, self.compute = place, compute

    def run(self, progress: Progress) -> Run:
        """A row for each size."""
        progress(f"{self.file}: fabric")
        case = CaseRun(self.scenario, 0, progress)
        placed = self._placed(case)
        schedule = timed(self.program, compute=self.compute)
        placement = [Placement(schedule, placed)]
        progress(f"{self.file}: {schedule.transfers} transfers")
        traffic = route_traffic(case.network, placement, case.rule)
        known = self.program.collective in COLLECTIVES
        limits = find_limits(case.network, self.program.collective, [placed], overheads=case.overheads) if known else []
        results: list[Result] = []
        for size in case.case.sizes or []:
            # A file that states its bytes keeps them: the size is the S that its row is reckoned by.
            scaled = schedule.scaled(size) if self.program.size is None else replace(schedule, stated_size=size)
            sized = [Placement(scaled, placed)]
            flows = bind(case.network, sized, traffic, case.overheads)
            results.append(
                measure(
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
            )
        return Run(self.file, VERSION, tuple(results))

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
    case = {"collective": collective, "algorithm": name, "sizes": size or "1 MiB"}
    scenario = one_case(name, topology, case, overrides)
    network = Network(scenario.graph(0))
    parameters = scenario.cases[0].algorithm.parameters
    try:
        schedule = algorithm(collective, name)(network.layout(np.arange(network.ranks)), **parameters)
    except NotApplicable as reason:
        raise InputError(f"{name}: {reason}") from None
    prove(schedule)
    if form == "msccl":
        return write_msccl(schedule)
    return write_goal(schedule.scaled((scenario.cases[0].sizes or [1.0])[0]))


def _sound(program: Program, file: str) -> Judgement:
    """The proof of a program that can be timed."""
    judgement = judge(program)
    if not judgement.holds:
        raise InputError(f"{file}: {judgement}")
    return judgement


def _scenario(file: str, program: Program, topology: str, size: str | None, overrides: Sequence[str]) -> Scenario:
    """The scenario of one case that has the same fabric, delays and sizes."""
    collective = program.collective if program.collective in COLLECTIVES else "all_to_all"
    sizes = size if size is not None else f"{program.size:.0f} B"
    return one_case(file, topology, {"collective": collective, "sizes": sizes}, overrides)
