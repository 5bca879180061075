"""Run flows: step by step (`Engine`) or to the end (`solve`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError, unknown
from . import kernel, state
from .certificate import certify
from .compiled import kept, loaded
from .flows import I64, Flows, Outcome
from .history import SLICES, Recorder
from .memory import check_memory

KERNELS = ("auto", "python", "numba", "exact")
STATES = {kernel.DONE: "done", kernel.STALLED: "stalled", kernel.UNTIL: "until", kernel.WATCHED: "watched"}

# Plain Python handles about 6 million units of work a second. Where the compiled kernel is loaded it is always the quicker one;
# to load it costs as much as so many units, and to compile it, once on a machine, as so many.
PYTHON_WORK, COMPILING_WORK = 2_000_000, 60_000_000
DOUBT = 8  # a run may take so many times the work that is estimated
CHUNK = 0.2  # s between looks at the keyboard and calls of `progress`
CHUNK_ENTRIES = 5_000_000  # visits of route entries that surely fit into it


class Progress(NamedTuple):
    """Where a run stands: the time (s), the watched flows finished since the last call, and why it returned."""

    time: float
    completed: I64
    state: str


@dataclass(frozen=True)
class Stall:
    """A flow that cannot finish by itself, and why: capacities of zero on its route, flows before it, held, or too slow."""

    flow: int
    capacities: tuple[int, ...]
    flows: tuple[int, ...]
    held: bool
    endless: bool = False  # it would end after the largest time that a number can hold

    def __str__(self) -> str:
        reasons = []
        if self.capacities:
            reasons.append("has no bandwidth on capacity " + ", ".join(map(str, self.capacities)))
        if self.flows:
            reasons.append("waits for flow " + ", ".join(map(str, self.flows)))
        if self.held:
            reasons.append("is held")
        if self.endless:
            reasons.append("would end later than a number can tell")
        return f"flow {self.flow} " + " and ".join(reasons)


class Engine:
    """A run that can be stepped.

    Options: `kernel` "python", "numba", "exact" (Fractions) or "auto" (by estimated work); `method` "repair", "full" or
    "hybrid"; `tolerance` the relative change of capacities allowed to the solution; `verify` certifies fairness in
    every epoch; `held` flows wait for `release`; `advance` returns at each completion of a `watch` flow; `slices` bounds the
    slices of time for which the load of every capacity is kept, 0 keeps none; `progress` is called a few times a second in
    long runs. Raises InputError for options out of range and RunError for a run that cannot fit into memory.
    """

    def __init__(
        self,
        flows: Flows,
        *,
        kernel: str = "auto",
        method: str = "hybrid",
        tolerance: float = 0.0,
        verify: bool = False,
        held: Iterable[int] | None = None,
        watch: Iterable[int] | None = None,
        slices: int = SLICES,
        progress: Callable[[Engine], None] | None = None,
    ) -> None:
        if kernel not in KERNELS:
            raise InputError(unknown("kernel", kernel, KERNELS))
        if method not in state.METHODS:
            raise InputError(unknown("method", method, list(state.METHODS)))
        if slices < 0:
            raise InputError(f"slices is {slices}: expected a count >= 0")
        if not 0 <= tolerance < 1:
            raise InputError(f"tolerance is {tolerance}: expected a number from 0 to below 1")
        self.flows = flows
        self.tolerance = tolerance
        kept = self._indices("held", held)
        self._held = set(kept.tolist())
        watched = self._indices("watch", watch)
        check_memory(flows)
        self._kernel = "numba" if kernel == "auto" and estimated_work(flows) > python_work() else kernel
        self._verify = verify
        self._recorder = Recorder(len(flows.capacity), len(flows.route_ids), slices) if slices else None
        self._progress, self._told, self._time = progress, perf_counter(), 0.0
        columns = state.make_state(flows, method=method, tolerance=tolerance, held=kept, watch=watched)
        if self._kernel == "exact":
            columns = state.first_rules(state.as_lists(columns, exact=True), tolerance)
        elif self._kernel != "numba":
            columns = state.as_lists(columns)
        self._columns = columns

    def __str__(self) -> str:
        return f"{self.finished:,} of {len(self.flows.bytes):,} flows finished by {self.time:.6g} s"

    @property
    def time(self) -> float:
        """The current time, s."""
        return self._time

    @property
    def finished(self) -> int:
        """How many flows have finished."""
        return int(self._columns.count[kernel.FINISHED_N])

    def advance(self, until: float = np.inf) -> Progress:
        """Run on to the next watched completion, to `until` (s), or until nothing happens by itself any more.

        In the last two cases the clock stands at `until` if that is finite. A later release() or set_capacity() may
        wake a stalled run.
        """
        if not until >= self._time:
            raise InputError(f"cannot advance to {until} s: the time is {self._time} s already")
        code = self._run(until)
        columns = self._columns
        hits = np.array(columns.hits[: columns.count[kernel.HITS_N]], dtype=np.int64)
        columns.count[kernel.HITS_N] = 0
        now = float(columns.clock[kernel.NOW] + columns.clock[kernel.BASE])
        self._time = until if code != kernel.WATCHED and until < np.inf else max(self._time, now)
        return Progress(self._time, hits, STATES[code])

    def set_capacity(self, index: int, value: float) -> None:
        """Change a capacity (bytes/s) at the current time."""
        if not 0 <= index < len(self.flows.capacity):
            raise InputError(f"capacity {index} does not exist: expected 0..{len(self.flows.capacity) - 1}")
        if not (np.isfinite(value) and value >= 0):
            raise InputError(f"capacity[{index}] is set to {value}: expected a finite number >= 0")
        kernel.set_limit(self._columns, index, Fraction(value) if self._kernel == "exact" else value)

    def release(self, ids: Iterable[int]) -> None:
        """Let held flows go, at the current time."""
        for flow in self._indices("release", ids).tolist():
            if flow not in self._held:
                raise InputError(f"flow {flow} is not held: it was released before or never held")
            self._held.remove(flow)
            self._columns.waits[flow] -= 1
            if self._columns.waits[flow] == 0 and self._columns.count[kernel.LAUNCHED]:
                kernel.admit(self._columns, flow)

    def stalled(self, most: int = 10) -> list[Stall]:
        """The first `most` flows that cannot finish by themselves as things are, those without bandwidth first."""
        columns, flows = self._columns, self.flows
        phase = np.asarray(columns.phase)
        sending = np.flatnonzero((phase == kernel.SENDING) & ~np.isfinite(state.ends(columns))).tolist()
        asleep = np.flatnonzero((phase == kernel.SCHEDULED) | (phase == kernel.DELAYED)).tolist()
        dead = sending + [f for f in asleep if columns.pending_key[f] == np.inf]
        waiting = np.flatnonzero(phase == kernel.WAITING).tolist()
        return [self._stall(f, phase) for f in (dead + waiting)[:most]] if len(flows.bytes) else []

    def outcome(self) -> Outcome:
        """What has happened up to now; complete once advance() has answered "done"."""
        outcome = make_outcome(self.flows, self._columns, self.tolerance)
        return replace(outcome, history=self._recorder.history(self._columns, outcome.carried)) if self._recorder else outcome

    def _stall(self, flow: int, phase: npt.NDArray[Any]) -> Stall:
        columns, flows = self._columns, self.flows
        route = flows.route_ids[flows.route_ptr[flow] : flows.route_ptr[flow + 1]].tolist()
        before = flows.wait_ids[flows.wait_ptr[flow] : flows.wait_ptr[flow + 1]].tolist()
        dead = tuple(k for k in route if columns.limit[k] == 0) if phase[flow] == kernel.SENDING else ()
        endless = not dead and phase[flow] != kernel.WAITING
        return Stall(flow, dead, tuple(f for f in before if phase[f] != kernel.FINISHED), flow in self._held, endless)

    def _indices(self, name: str, ids: Iterable[int] | None) -> I64:
        array = np.unique(np.fromiter(() if ids is None else ids, np.int64))
        bad = array[(array < 0) | (array >= len(self.flows.bytes))]
        if len(bad):
            raise InputError(f"{name}: flow {bad[0]} does not exist: expected 0..{len(self.flows.bytes) - 1}")
        return array

    def _run(self, until: float) -> int:
        """Advance in steps short enough to be interrupted, to tell of, and to take samples between."""
        most = 0 if self._verify else min(256, 1 + CHUNK_ENTRIES // (1 + len(self.flows.route_ids)))
        while True:
            started = perf_counter()
            rounds = self._recorder.rounds(self._columns, most) if self._recorder else most
            code = self._step(until, rounds)
            if self._verify:
                certify(self.flows, self._columns, self.tolerance)
            if self._recorder:
                self._recorder.note(self._columns)
            if code != kernel.PAUSED:
                return code
            took = perf_counter() - started
            if self._verify:
                most = 1  # every epoch, after the present one
            elif took < CHUNK / 2 and rounds == most:
                most *= 2
            elif took > 2 * CHUNK:
                most = max(1, rounds // 2)
            self._tell()

    def _tell(self) -> None:
        if self._progress and perf_counter() - self._told >= CHUNK:
            self._time = float(self._columns.clock[kernel.NOW] + self._columns.clock[kernel.BASE])
            self._progress(self)
            self._told = perf_counter()

    def _step(self, until: float, rounds: int) -> int:
        if self._kernel == "auto" and self._columns.count[kernel.WORK] > python_work():
            self._kernel, self._columns = "numba", state.as_arrays(self._columns)
        if self._kernel != "numba":
            return kernel.advance(self._columns, until, rounds)
        from .compiled import compiled_advance

        return int(compiled_advance()(self._columns, float(until), rounds))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during solve(): `outcome` is what had happened by then, marked as partial."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"interrupted at {outcome.time:.9g} s of simulated time")
        self.outcome = outcome


def solve(flows: Flows, *, symmetry: Literal["auto", "off"] = "auto", **options: Any) -> Outcome:
    """Run all flows to the end; flows that stall have finish nan and are explained in `Outcome.stalls`.

    With symmetry "auto" larger instances are searched for flows that must behave alike, and one of each kind is run
    where that makes the instance much smaller. The options are those of `Engine`. Ctrl-C raises Interrupted with the
    partial outcome.
    """
    from .symmetry import expand, find_classes, quotient

    if symmetry not in ("auto", "off"):
        raise InputError(unknown("symmetry", symmetry, ("auto", "off")))
    classes = find_classes(flows) if symmetry == "auto" else None
    engine = Engine(flows if classes is None else quotient(flows, classes), **options)

    def finish(partial: bool) -> Outcome:
        stalls = () if partial else tuple(map(str, engine.stalled()))
        outcome = replace(engine.outcome(), partial=partial, stalls=stalls)
        return outcome if classes is None else expand(outcome, classes, flows)

    try:
        while engine.advance().state == "watched":
            pass
    except KeyboardInterrupt:
        raise Interrupted(finish(True)) from None
    return finish(False)


def prepare(flows: Flows) -> None:
    """Compile now, or read from the cache, what a run of these flows may stop for later."""
    if DOUBT * estimated_work(flows) > python_work():
        from .compiled import compiled_advance

        compiled_advance()


def python_work() -> int:
    """Up to how many units of work plain Python is the quicker way."""
    if loaded():
        return 0
    return PYTHON_WORK if kept() else COMPILING_WORK


def estimated_work(flows: Flows) -> float:
    """Units of work (about one visit of one route entry) of a run, from what is known before it.

    Each change of rates visits the flows then sending; there are about as many changes as distinct sizes and starts,
    and labels tell how many flows are not sending at the same time.
    """
    entries = len(flows.route_ids)
    if not entries:
        return 0.0
    if entries * 6 > PYTHON_WORK:
        return 6.0 * entries
    kinds = max(len(np.unique(flows.bytes)), len(np.unique(flows.start)))
    steps = len(np.unique(flows.label))
    return entries * (6 + kinds / steps)


def make_outcome(flows: Flows, columns: kernel.State, tolerance: float) -> Outcome:
    """Read the columns of a run."""
    get = state.column
    clock = [float(value) for value in columns.clock]
    now = clock[kernel.NOW]
    phase = get(columns, "phase")
    born, died = get(columns, "born"), get(columns, "died")
    born_base, died_base = get(columns, "born_base"), get(columns, "died_base")
    eligible = born_base + born
    sending = (phase == kernel.SENDING) | (phase == kernel.LEAVING)  # the latter in the midst of an interrupted step
    rounds = flows.repeat - get(columns, "left")
    gone = np.where(sending, flows.bytes - state.rests(columns), 0.0)
    moved = flows.bytes * rounds + np.clip(gone, 0.0, flows.bytes)
    per_entry = np.repeat(moved, np.diff(flows.route_ptr)) * flows.route_coef
    capacities = len(flows.capacity)  # those behind are the flows' own caps
    used = get(columns, "users")[:capacities] > 0
    saturated = used & np.isfinite(get(columns, "level")[:capacities])
    ended = np.any(np.isfinite(died))
    with np.errstate(over="ignore"):  # a flow may begin later than a number can tell
        begin = eligible + flows.delay
    elapsed = (clock[kernel.LAST] - clock[kernel.FIRST]) + (clock[kernel.LAST_BASE] - clock[kernel.FIRST_BASE])
    return Outcome(
        eligible=eligible,
        begin=begin,
        finish=died_base + died,
        duration=(died_base - born_base) + (died - born),
        carried=np.bincount(flows.route_ids, per_entry, capacities).astype(float),
        busy=get(columns, "busy")[:capacities] + np.where(used, now - get(columns, "busy_since")[:capacities], 0.0),
        full=get(columns, "full")[:capacities] + np.where(saturated, now - get(columns, "since")[:capacities], 0.0),
        epochs=int(columns.count[kernel.EPOCHS]),
        time=clock[kernel.LAST] + clock[kernel.LAST_BASE] if ended else 0.0,
        elapsed=elapsed if ended else 0.0,
        classes=len(flows.bytes),
        flows=len(flows.bytes),
        tolerance=tolerance,
    )
