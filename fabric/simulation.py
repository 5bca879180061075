"""The clock around the engine: SimPy carries time and the coarse processes, the engine carries the flows.

One process stands for the whole fluid network. It asks the engine to go on until SimPy's next event, so it wakes when
another process has something to do (a job that starts, a link that fails), never once per flow.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .bind import NO_OVERHEADS, Overheads, Placement, bind, route_traffic
from .bounds import bounds_at, find_limits
from .collectives.conditions import prove
from .collectives.folded import stands_for
from .csr import pointers, ranges
from .engine import Classes, Engine, Outcome
from .engine.flows import Flows
from .engine.symmetry import expand, find_classes, quotient
from .errors import InputError, InternalError, RunError
from .network import Network
from .result import Bound, Result
from .routing import Rule
from .schedule import Schedule
from .slow_machines import Apart, run_apart

if TYPE_CHECKING:
    import networkx as nx
    import simpy

I64 = NDArray[np.int64]


def fluid(env: simpy.Environment, engine: Engine) -> Generator[Any, Any, None]:
    """The fluid network as a SimPy process: ends when all flows have finished, raises RunError when they stall."""
    while True:
        progress = engine.advance(env.peek())
        if progress.state == "stalled" and env.peek() == inf:
            raise RunError("the transfers stall: " + "; ".join(map(str, engine.stalled())))
        yield env.timeout(progress.time - env.now)
        if progress.state == "done":
            return


def run_flows(
    flows: Flows, classes: Classes | None = None, *, verify: bool = False, progress: Callable[[Engine], None] | None = None
) -> Outcome:
    """Run flows to the end under a SimPy clock; one of each symmetry class, where `find_classes` has found classes.

    progress: called a few times a second with the engine, which says as text where it stands.
    """
    import simpy

    engine = Engine(flows if classes is None else quotient(flows, classes), verify=verify, progress=progress)
    env = simpy.Environment()
    env.process(fluid(env, engine))
    env.run()
    outcome = engine.outcome()
    return outcome if classes is None else expand(outcome, classes, flows)


def least_time(flows: Flows) -> float:
    """A time that these flows cannot beat, s: the busiest capacity, or the longest chain of waits if every flow were alone.

    Far cheaper than a run: with it a search over algorithms leaves out those that cannot win.
    """
    used = np.repeat(flows.bytes * flows.repeat, np.diff(flows.route_ptr)) * flows.route_coef
    load = np.bincount(flows.route_ids, used, len(flows.capacity)) / flows.capacity
    alone = np.zeros(len(flows.bytes))
    routed = np.diff(flows.route_ptr) > 0
    slowest = flows.route_coef / flows.capacity[flows.route_ids]
    alone[routed] = np.maximum.reduceat(slowest, flows.route_ptr[:-1][routed]) if routed.any() else 0.0
    cost = (flows.delay + flows.bytes * np.maximum(alone, 1 / flows.flow_cap)) * flows.repeat
    finish = flows.start + cost
    waits = np.diff(flows.wait_ptr)
    waiting = np.flatnonzero(waits)
    waiting = waiting[np.argsort(flows.label[waiting], kind="stable")]
    steps = np.flatnonzero(np.diff(flows.label[waiting], prepend=-1))
    for mine in np.split(waiting, steps[1:]):  # what a flow waits for is of an earlier step, so one pass in order will do
        if len(mine):
            before = flows.wait_ids[ranges(flows.wait_ptr[mine], flows.wait_ptr[mine + 1])]
            ready = np.maximum.reduceat(finish[before], pointers(waits[mine])[:-1])
            finish[mine] = np.maximum(flows.start[mine], ready) + cost[mine]
    return float(max(load.max(initial=0.0), finish.max(initial=0.0)))


def simulate(
    fabric: Network | nx.DiGraph[int],
    schedule: Schedule,
    *,
    ranks: Sequence[int] | None = None,
    overheads: Overheads = NO_OVERHEADS,
    routing: Rule | None = None,
    verify: bool = False,
) -> Result:
    """Prove a schedule, run it on a fabric (a Network, or a graph that keeps the contract) and report.

    ranks: the network's rank for each rank of the schedule; the first ones where nothing is said. verify: certify max-min
    fairness in every epoch. Raises ProofError if the schedule does not do what its collective says.
    """
    network = fabric if isinstance(fabric, Network) else Network(fabric)
    placed = Placement(schedule, _placed(network, schedule, ranks))
    proof = prove(schedule)
    matrix = schedule.matrix if schedule.collective in ("all_to_all_v", "permute") else None
    limits = find_limits(network, schedule.collective, [placed.ranks], matrix=matrix, root=schedule.root, overheads=overheads)
    bounds = bounds_at(limits, schedule.size)
    flows = bind(network, [placed], route_traffic(network, [placed], routing), overheads)
    return measure(network, [placed], flows, bounds, classes=find_classes(flows), verify=verify, proof=str(proof))


def measure(
    network: Network,
    placements: Sequence[Placement],
    flows: Flows,
    bounds: Sequence[Bound],
    *,
    classes: Classes | None = None,
    verify: bool = False,
    progress: Callable[[Engine], None] | None = None,
    **about: Any,
) -> Result:
    """Time placements that run together, proved and bound to `flows` by the caller; the last to finish is the time.

    classes: of the flows, from `find_classes`; without them every flow is simulated. progress: as of `run_flows`. about:
    further fields of the Result. Raises InternalError if the time is below a lower bound; InputError where slow links in
    single machines of a folded cluster are not served.
    """
    outcome: Outcome | Apart
    times: tuple[float, ...]
    if network.slow:
        outcome = run_apart(network, placements, flows, verify=verify)
        network, times, done = outcome.network, (outcome.time,), outcome.note
    else:
        outcome = run_flows(flows, classes, verify=verify, progress=progress)
        ends = np.cumsum([0] + [placed.schedule.transfers for placed in placements])
        times, done = tuple(float(outcome.finish[a:b].max(initial=0.0)) for a, b in pairwise(ends)), ""
    for bound in bounds:
        if max(times) < bound.time * (1 - 1e-9):
            raise InternalError(
                f"a time of {max(times)!r} s is below the lower bound {bound.name} of {bound.time!r} s ({bound.detail}): "
                "one of them is wrong; please report the scenario"
            )
    schedule = placements[int(np.argmax(times))].schedule  # of the group that takes longest, where they differ
    return Result(
        collective=schedule.collective,
        algorithm=schedule.algorithm,
        options=schedule.options,
        ranks=schedule.ranks,
        size=schedule.size,
        time=max(times),
        group_times=times,
        bounds=tuple(bounds),
        network=network,
        carried=outcome.carried,
        busy=outcome.busy,
        full=outcome.full,
        steps=schedule.steps,
        copies=placements[0].copies,
        transfers=sum(placed.copies * placed.schedule.stands_for for placed in placements),
        classes=outcome.classes,
        epochs=outcome.epochs,
        history=outcome.history,
        certified=verify,
        note="; ".join(filter(None, (schedule.note, _stands_for(network, placements), done))),
        **about,
    )


def _stands_for(network: Network, placements: Sequence[Placement]) -> str:
    """What the stored machines stand for, where each has replica groups of its own; schedules of all say so themselves."""
    if not network.pods or placements[0].schedule.image is not None:
        return ""
    return stands_for(network.unit * network.copies, network.pods, network.unit)


def in_sequence(results: Sequence[Result], **about: Any) -> Result:
    """Collectives one after another as one row: times, bytes and bounds add up."""
    first = results[0]
    bound = Bound(
        "in sequence", sum(result.bound.time for result in results), " + ".join(result.bound.name for result in results)
    )
    return replace(
        first,
        size=sum(result.size for result in results),
        time=sum(result.time for result in results),
        group_times=tuple(sum(times) for times in zip(*(result.group_times for result in results))),
        bounds=(bound,),
        carried=np.sum([result.carried for result in results], axis=0),
        busy=np.sum([result.busy for result in results], axis=0),
        full=np.sum([result.full for result in results], axis=0),
        steps=sum(result.steps for result in results),
        transfers=sum(result.transfers for result in results),
        classes=sum(result.classes for result in results),
        epochs=sum(result.epochs for result in results),
        history=None,
        **about,
    )


def _placed(network: Network, schedule: Schedule, ranks: Sequence[int] | None) -> I64:
    """The network's ranks of a schedule, checked."""
    if schedule.image is not None:
        raise InputError("a folded schedule runs in a scenario, which proves a smaller one of its kind first")
    if ranks is None:
        ranks = range(min(schedule.ranks, network.ranks))
    placed = np.asarray(ranks, dtype=np.int64)
    if len(placed) != schedule.ranks:
        raise InputError(f"the schedule has {schedule.ranks} ranks and is placed on {len(placed)} of {network.ranks}")
    if len(np.unique(placed)) != len(placed) or placed.min() < 0 or placed.max() >= network.ranks:
        raise InputError(f"a placement takes distinct ranks 0..{network.ranks - 1}, not {placed.tolist()}")
    return placed
