"""Slow links in single machines of a folded cluster, with a ring between the machines: exactly, without unfolding it.

A machine with slow links falls behind, and with each turn of the ring those after it, so that no two are alike. But as long
as no transfer of the ring can slow down another, max-plus tells when each ends. What is inside the machines the engine runs:
before the ring once for all machines that are alike, and after it for those that can be the last. docs/symmetry.md has the
proofs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from topologies.folded import SHARED, set_apart
from topologies.parts import MOST_CHIPS

from .bind import Placement
from .csr import pointers, ranges
from .engine import Flows, History, Outcome, solve
from .errors import InputError
from .max_plus import longest_durations, ring_ends, step_ends, time_shares
from .network import Network
from .schedule import OWN, Schedule

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

OTHERS = -1  # stands for all machines, or hops between them, without slow links
ROUNDING = 1e-12  # times and rates that differ by less, relatively, are equal
MOST_PATTERNS = 64  # runs of what comes after the ring, for machines that it leaves at different times
BYTES_PER_TRANSFER = 300  # of a run in full: flow, route and waits


@dataclass(frozen=True, eq=False)
class Apart:
    """What came out. Arrays are [K] over the capacities of `network`, where the machines with slow links stand apart.

    busy, full: s; for the links of all other machines those of the machine that appears for them, which is the last of them
    to end; nan for links that serve all machines, where these are not alike.
    """

    network: Network
    time: float  # s
    carried: F64  # bytes
    busy: F64
    full: F64
    classes: int
    epochs: int
    note: str
    history: History | None = None  # over time nothing is kept


class Unserved(InputError):
    """Slow links in single machines of a folded cluster, and a run that max-plus does not serve; the message says why."""


def run_apart(network: Network, placements: Sequence[Placement], flows: Flows, *, verify: bool = False) -> Apart:
    """Time a hierarchical collective with a ring between the machines of a folded cluster, some of which have slow links.

    Raises Unserved for all else, and where a transfer of the ring may slow down another: with the reason, and with what a run
    in full would take.
    """
    schedule = placements[0].schedule
    if reason := refusal(network, schedule):
        raise Unserved(reason)
    try:
        return _run(network, schedule, flows, verify)
    except Unserved as found:
        raise Unserved(_explained(str(found), schedule)) from None


def refusal(network: Network, schedule: Schedule) -> str:
    """Why a schedule is not of the kind that max-plus serves, where a folded cluster has slow links; "" if it is."""
    if not network.slow:
        return ""
    ring = schedule.options.get("outer") == "ring" and schedule.options.get("directions") == 1
    if schedule.image is None or not ring:
        return _explained(
            "they need a hierarchical collective of all ranks with a ring of one direction between the machines", schedule
        )
    if network.resources:
        return _explained("resources of ranks are shared by the ring and what is inside the machines", schedule)
    if len(network.slow) == network.copies:
        return _explained("every machine has some, so that none stands for others", schedule)
    return ""


def _explained(reason: str, schedule: Schedule) -> str:
    memory = schedule.stands_for * BYTES_PER_TRANSFER / 2**30
    return (
        f"slow links in single machines of a folded cluster: {reason}. In full (fold: false, up to {MOST_CHIPS:,} chips) this "
        f"takes {schedule.stands_for:,} transfers, about {memory:,.2f} GiB"
    )


def _run(network: Network, schedule: Schedule, flows: Flows, verify: bool) -> Apart:
    assert schedule.image is not None
    own, step = schedule.image == OWN, schedule.step
    between = np.flatnonzero(~own)
    lanes = between[np.lexsort((step[between], schedule.source[between]))].reshape(network.ranks, -1)
    before, after = np.flatnonzero(own & (step < step[lanes].min())), np.flatnonzero(own & (step > step[lanes].max()))
    inside = Inside(network, flows, verify)
    started = inside.run_before(before)
    ready = {machine: latest(flows, lanes[:, 0], before, run.finish) for machine, run in started.items()}
    ring = Ring(network, flows, lanes, ready, verify)
    ring.check(np.concatenate((before, after)))
    finished = inside.run_after(after, ring, schedule)
    _check_order(flows, before, after, started, ring.arrival.min(axis=0))
    ends = {machine: max(run.time, float(ring.ends[:, machine].max())) for machine, run in finished.items()}
    last = max(finished.keys() - network.slow.keys(), key=ends.__getitem__)
    apart = Network(set_apart(network.graph, last))
    inner = {machine: (started.get(machine, started[OTHERS]), finished[machine]) for machine in (last, *network.slow)}
    busy, full = _statistics(network, apart, ring, inner)
    machines = f"{network.copies:,} machines, {len(network.slow)} with slow links"
    classes = sum(run.classes for run in inside.runs) + len(ring.members)
    return Apart(
        network=apart,
        time=max(float(ring.ends.max()), *ends.values()),
        carried=_carried(flows)[_likes(network, apart)],
        busy=busy,
        full=full,
        classes=classes,
        epochs=sum(run.epochs for run in inside.runs),
        note=f"max-plus over {machines}; {classes:,} classes for {schedule.stands_for:,} transfers",
    )


def _check_order(flows: Flows, before: I64, after: I64, started: Mapping[int, Outcome], first: F64) -> None:
    """In each machine what comes before the ring must have ended when some of what comes after it, which all waits for the
    ring, begins. first: [machines] s, when the first lane has received all."""
    if not len(after):
        return
    owner, waits = _waits(flows, after)
    awaited = np.bincount(owner[~np.isin(waits, before)], minlength=len(after))
    late = any(run.time > (first.min() if machine == OTHERS else first[machine]) for machine, run in started.items())
    if late or (awaited == 0).any():
        raise Unserved("a machine is not through with what comes before the ring when some of what comes after it begins")


# --- inside the machines --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Inside:
    """What is inside a machine before and after the ring; `runs` are those that were made."""

    network: Network
    flows: Flows
    verify: bool

    def __post_init__(self) -> None:
        self.runs: list[Outcome] = []

    def run_before(self, ids: I64) -> dict[int, Outcome]:
        """Up to the ring, in each machine with slow links and in all OTHERS."""
        start = self.flows.start[ids]
        runs = {OTHERS: self._run(ids, start, OTHERS)}
        for machine, capacity in self.network.slow.items():
            slower = (capacity < self.network.capacity)[self.flows.route_ids[_entries(self.flows, ids)]].any()
            runs[machine] = self._run(ids, start, machine) if slower else runs[OTHERS]
        return runs

    def run_after(self, ids: I64, ring: Ring, schedule: Schedule) -> dict[int, Outcome]:
        """From the ring to the end, in each machine with slow links and in those others that can be the last to end.

        All others take no longer than the longest that is possible, counted from when they have received all.
        """
        runs = {machine: self._run_from(ids, ring, machine) for machine in self.network.slow}
        others = [machine for machine in range(self.network.copies) if machine not in runs]
        arrival = ring.arrival[:, others]
        distinct = np.unique([ties(row) for row in arrival], axis=1, return_index=True)[1]
        received = arrival.max(axis=0)
        end = received + self._longest(ids, schedule)
        first, *rest = sorted(distinct, key=lambda one: -end[one])
        runs[others[first]] = self._run_from(ids, ring, others[first])
        known = max(runs[others[first]].time, received[first])
        rivals = [one for one in rest if end[one] * (1 - ROUNDING) > known]
        if len(rivals) > MOST_PATTERNS:
            raise Unserved("the ring leaves too many machines at different times, each of which might be the last to end")
        runs |= {others[one]: self._run_from(ids, ring, others[one]) for one in rivals}
        return runs

    def _run_from(self, ids: I64, ring: Ring, machine: int) -> Outcome:
        start = latest(self.flows, ids, ring.lanes[:, -1], ring.arrival[ring.kind, machine])
        return self._run(ids, start, machine)

    def _run(self, ids: I64, start: F64, machine: int) -> Outcome:
        capacity = self.network.slow.get(machine, self.network.capacity)
        run = solve(part(self.flows, ids, start, capacity), verify=self.verify)
        self.runs.append(run)
        return run

    def _longest(self, ids: I64, schedule: Schedule) -> float:
        """s from when the last lane has arrived to the end, at most."""
        flows = part(self.flows, ids, np.zeros(len(ids)), self.network.capacity)
        channel = schedule.channel[ids]
        lane = np.where(channel < 0, -1, schedule.source[ids] * (channel.max(initial=0) + np.int64(1)) + channel)
        waits = (flows.wait_ptr, flows.wait_ids)
        return solve(Flows.build([], np.zeros(len(ids)), delay=longest_durations(flows, lane), waits=waits)).time


def part(flows: Flows, ids: I64, start: F64, capacity: F64) -> Flows:
    """Some of the flows, with a start (s) in place of what they wait for among the others, on other capacities (bytes/s)."""
    place = np.full(len(flows.bytes), -1)
    place[ids] = np.arange(len(ids))
    entries = _entries(flows, ids)
    owner, waits = _waits(flows, ids)
    waits = place[waits]
    kept = waits >= 0
    return Flows.build(
        capacity,
        flows.bytes[ids],
        (pointers(np.diff(flows.route_ptr)[ids]), flows.route_ids[entries]),
        coefficients=flows.route_coef[entries],
        delay=flows.delay[ids],
        start=start,
        waits=(pointers(np.bincount(owner[kept], minlength=len(ids))), waits[kept]),
        repeat=flows.repeat[ids],
        label=flows.label[ids],
    )


def latest(flows: Flows, waiting: I64, ids: I64, times: F64) -> F64:
    """[waiting] s, the latest of the times of the `ids` that each flow waits for, and no earlier than its start."""
    known = np.full(len(flows.bytes), -np.inf)
    known[ids] = times
    out = flows.start[waiting].copy()
    owner, waits = _waits(flows, waiting)
    np.maximum.at(out, owner, known[waits])
    return out


def ties(values: F64) -> I64:
    """Numbers for values, equal for those that differ by rounding alone."""
    order = np.argsort(values)
    rises = np.diff(values[order], prepend=values[order[:1]]) > ROUNDING * np.abs(values[order])
    out = np.empty(len(values), dtype=np.int64)
    out[order] = np.cumsum(rises)
    return out


def _waits(flows: Flows, ids: I64) -> tuple[I64, NDArray[np.integer]]:
    """(place in `ids`, flow that it waits for) of every wait of some flows."""
    owner = np.repeat(np.arange(len(ids)), np.diff(flows.wait_ptr)[ids])
    return owner, flows.wait_ids[ranges(flows.wait_ptr[ids], flows.wait_ptr[ids + 1])]


def _entries(flows: Flows, ids: I64) -> I64:
    """Where the routes of some flows are stored."""
    return ranges(flows.route_ptr[ids], flows.route_ptr[ids + 1])


# --- the ring -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Ring:
    """The transfers between machines. There is a lane for each rank of a machine; lanes that stay in step are of one kind.

    lanes: [lanes, phases] the stored transfers. ready: [lanes] s, when the ring may start, of each machine with slow links and
    of all OTHERS.
    """

    network: Network
    flows: Flows
    lanes: I64
    ready: Mapping[int, F64]
    verify: bool

    @cached_property
    def steps(self) -> int:
        """Transfers of one lane in one machine."""
        return int(self.flows.repeat[self.lanes[0]].sum())

    @cached_property
    def hops(self) -> dict[int, F64]:
        """[K] bytes/s of the capacities that a hop meets: of the machine that sends on the way up, and of the next one on
        the way down. By the machine that sends, for all hops that meet slow links, and for all OTHERS."""
        network, count = self.network, self.network.copies
        hops = {OTHERS: network.capacity}
        for machine in sorted({hop % count for slow in network.slow for hop in (slow - 1, slow)}):
            up, down = (network.slow.get(one % count, network.capacity) for one in (machine, machine + 1))
            hops[machine] = np.where(self.upwards, up, down)
        return hops

    @cached_property
    def upwards(self) -> Bools:
        """[K] whether a link leads away from the chips: nodes are numbered from these up."""
        return self.network.source < self.network.destination

    @cached_property
    def pace(self) -> dict[int, F64]:
        """[lanes] s per byte in each of the `hops`, with all lanes at work."""
        first = self.lanes[:, 0]
        whole = part(self.flows, first, np.zeros(len(first)), self.network.capacity)
        alone = replace(
            whole, bytes=np.ones(len(first)), delay=np.zeros(len(first)), repeat=np.ones(len(first), dtype=np.int64)
        )
        return {hop: solve(replace(alone, capacity=capacity), verify=self.verify).finish for hop, capacity in self.hops.items()}

    @cached_property
    def kind(self) -> I64:
        """[lanes] the kind of each."""
        columns = [ties(column) for column in (*self.ready.values(), *self.pace.values())]
        return np.unique(columns, axis=1, return_inverse=True)[1].ravel()

    @cached_property
    def members(self) -> I64:
        """[kinds] one lane of each."""
        return np.unique(self.kind, return_index=True)[1]

    @cached_property
    def start(self) -> F64:
        """[kinds, machines] s."""
        return self._table(self.ready)

    @cached_property
    def sending(self) -> F64:
        """[kinds, machines] s for which a machine sends in each step."""
        return self._table(self.pace) * self.flows.bytes[self.lanes[self.members, :1]]

    @cached_property
    def duration(self) -> F64:
        """[kinds, machines] s of a step."""
        return self.sending + self.flows.delay[self.lanes[self.members, :1]]

    @cached_property
    def special(self) -> list[int]:
        """The machines that start, or send, at times of their own."""
        return sorted({*self.ready, *self.hops} - {OTHERS})

    @cached_property
    def ends(self) -> F64:
        """[kinds, machines] s, when a machine has sent all."""
        rows = zip(self.start, self.duration)
        return np.array([ring_ends(start, duration, self.steps, self.special) for start, duration in rows])

    @cached_property
    def arrival(self) -> F64:
        """[kinds, machines] s, when a machine has received all."""
        return np.roll(self.ends, 1, axis=1)

    def _table(self, columns: Mapping[int, F64]) -> F64:
        """[kinds, machines] from the lanes of some machines and those of all OTHERS."""
        table = np.repeat(columns[OTHERS][self.members, np.newaxis], self.network.copies, axis=1)
        for machine in columns.keys() - {OTHERS}:
            table[:, machine] = columns[machine][self.members]
        return table

    # --- whether rates are constant

    def check(self, inside: I64) -> None:
        """Raise Unserved unless each lane has rates of its own, whatever the others and the flows `inside` machines do."""
        flows, first = self.flows, self.lanes[:, 0]
        for phase in self.lanes.T:
            for column in (flows.bytes, flows.delay):
                if (column[phase] != column[first]).any():
                    raise Unserved("the phases of the ring differ in bytes or in delay")
        if np.intersect1d(flows.route_ids[_entries(flows, first)], flows.route_ids[_entries(flows, inside)]).size:
            raise Unserved("the ring shares links with what is inside the machines")
        lane, capacity, _ = self._uses
        for hop in self.hops:
            full = (self.loads(hop) >= 1 - ROUNDING) & ~self.shared
            if not np.bincount(lane, full[self.kind[lane], capacity], len(first)).all():
                raise Unserved("lanes of the ring that do not stay in step share the links that hold them back")

    @cached_property
    def _uses(self) -> tuple[I64, I64, F64]:
        """(lane, capacity, coefficient) of every use of a capacity."""
        first = self.lanes[:, 0]
        entries = _entries(self.flows, first)
        lane = np.repeat(np.arange(len(first)), np.diff(self.flows.route_ptr)[first])
        return lane, self.flows.route_ids[entries].astype(np.int64), self.flows.route_coef[entries]

    def loads(self, hop: int) -> F64:
        """[kinds, K] the share of each capacity that all lanes of a kind take while they send, in one of the `hops`."""
        lane, capacity, coefficient = self._uses
        load = np.zeros((len(self.members), len(self.network.capacity)))
        np.add.at(load, (self.kind[lane], capacity), coefficient / self.pace[hop][lane])
        return load / self.hops[hop]

    @cached_property
    def steady(self) -> Bools:
        """[kinds] whether all machines are alike."""
        return np.asarray(
            np.all([np.ptp(table, axis=1) <= ROUNDING * table.max(axis=1) for table in (self.start, self.duration)], axis=0)
        )

    @cached_property
    def shared(self) -> Bools:
        """[K] whether a link serves all machines: those between leaves and spines."""
        nodes = self.network.graph.nodes
        above = np.array([nodes[node].get("tier") in SHARED for node in range(self.network.nodes)])
        return np.asarray(above[self.network.source] & above[self.network.destination])

    # --- statistics

    def statistics(self, machine: int) -> tuple[F64, F64]:
        """[K] s for which the links of a machine are busy, and full; nan for links that serve all, unless all are alike."""
        busy, full = np.zeros(len(self.network.capacity)), np.zeros(len(self.network.capacity))
        for hop, mine in ((machine, self.upwards), ((machine - 1) % self.network.copies, ~self.upwards)):
            loads = self.loads(hop if hop in self.hops else OTHERS)
            durations, sending = self.duration, self.sending[:, hop]
            ends = [step_ends(*row, self.steps, self.special, hop) for row in zip(self.start, durations)]
            used = np.flatnonzero(mine & (loads.sum(axis=0) > 0))
            _, first, like = np.unique(np.round(loads[:, used], 12), axis=1, return_index=True, return_inverse=True)
            found = []
            for load in loads[:, used[first]].T:
                on = np.flatnonzero(load)
                found.append(time_shares([ends[kind] for kind in on], sending[on], load[on]))
            busy[used], full[used] = np.array(found).reshape(-1, 2)[like.ravel()].T
        unlike = self.shared & ~self.steady.all()
        busy[unlike], full[unlike] = np.nan, np.nan
        return busy, full


# --- what the result shows ------------------------------------------------------------------------------------------------


def _likes(network: Network, apart: Network) -> I64:
    """[K of `apart`] the capacity of the folded network that stands for each."""
    like = np.array([apart.graph.nodes[node]["like"] for node in range(apart.nodes)])
    return network.link_ids(like[apart.source], like[apart.destination])


def _carried(flows: Flows) -> F64:
    """[K] bytes, which no slow link changes."""
    amounts = np.repeat(flows.bytes * flows.repeat, np.diff(flows.route_ptr)) * flows.route_coef
    return np.bincount(flows.route_ids, amounts, len(flows.capacity)).astype(np.float64)


def _statistics(network: Network, apart: Network, ring: Ring, inner: Mapping[int, Iterable[Outcome]]) -> tuple[F64, F64]:
    """[K of `apart`] busy and full, s, given what was run inside each machine that it shows."""
    node_machine = np.array([apart.graph.nodes[node]["machine"] for node in range(apart.nodes)])
    machine = np.maximum(node_machine[apart.source], node_machine[apart.destination])
    like, busy, full = _likes(network, apart), np.zeros(len(apart.capacity)), np.zeros(len(apart.capacity))
    for one, runs in inner.items():
        mine = (machine == one) | (machine < 0)
        between = ring.statistics(one)
        for total, of_ring, name in ((busy, between[0], "busy"), (full, between[1], "full")):
            total[mine] = (of_ring + sum(getattr(run, name) for run in runs))[like[mine]]
    return busy, full
