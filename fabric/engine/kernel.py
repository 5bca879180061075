"""The algorithm, once, for three number systems.

Plain functions over indexable columns, in the part of Python that numba compiles. Run as they are on lists of floats or
of Fractions they are the small and the exact engine; `compiled.py` compiles these same functions for large work. Hence
the style: flat loops, integers as names, the literal 0 instead of 0.0 (a Fraction must not become a float).

**Rates.** Progressive filling: all open flows rise together until a capacity is full; its flows are fixed at that
level, and the rest rise on. The next capacity to fill is the top of a lazy heap: levels only rise while filling goes
on, so an old key is a lower bound and is renewed when it reaches the top.

**Change.** Completions, begins and capacity changes disturb a few capacities, the *area*. Filling is done on the area
and on the *moving* flows (those that the area holds back, and new ones) alone; every other capacity bounds its flows by
the level that it has. Then the certificate is checked: x = min over its capacities of level, no capacity over-full,
every capacity with a level exactly full. These conditions characterise the one max-min point. A capacity that breaks
them joins the area, and filling is repeated (`repair`). Where repairs spread over most of the flows it is cheaper to
fill afresh everything above the lowest level touched (`refill`): below it progressive filling would run exactly as
before. What the two cost decides between them (`settle`).

**Time.** Between two changes all rates are constant. Each flow keeps the bytes left at its last change of rate (`rest`
at `anchor`) and its predicted `end`; each capacity queues the flows that it holds back (their `host`), and only the
earliest of them is in the heap of completions: flows that share a level change together, so one pass serves the rates
and the queue. Times are offsets from a base of whole seconds that moves along, so that late times keep their digits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

INF = math.inf

# Phases of a flow
WAITING, SCHEDULED, DELAYED, SENDING, LEAVING, FINISHED = 0, 1, 2, 3, 4, 5
# Marks of a flow while rates are sought: not moving, moving and open, moving and fixed
STILL, OPEN, FIXED = 0, 1, 2
# Answers of advance()
DONE, STALLED, UNTIL, WATCHED, PAUSED = 0, 1, 2, 3, 4
# Methods
HYBRID, FULL, REPAIR = 0, 1, 2
# Epochs between two refresh()
REFRESH = 512

# Places in State.count
PENDING_N, FINISHING_N, USED_N, AREA_N, MOVING_N, READY_N, HITS_N = 0, 1, 2, 3, 4, 5, 6
SENDING_N, ENTRIES_N, FINISHED_N = 7, 8, 9  # flows sending, their route entries, flows finished
EPOCHS, NEXT_EVENT, SINCE_SHIFT, METHOD = 10, 11, 12, 13
EFFORT, WORK, TRUST, PATIENCE = 14, 15, 16, 17  # see settle()
LAUNCHED, ROUNDS, TALLY = 18, 19, 20  # the run has begun; times at which something happened; see advance()
COUNTS = 21
# Places in State.clock: now, base; the last change of rates; first eligible and last finish with their bases; see
# refill()
NOW, BASE, CHANGED, FIRST, FIRST_BASE, LAST, LAST_BASE, CUT = 0, 1, 2, 3, 4, 5, 6, 7
CLOCKS = 8
# Places in State.rule: relative distances below which levels are one, ends are one, times are one, a capacity with a
# level is full; and
# the spare capacity from which one without a level counts as full
SNAP, MERGE, ROUNDING, SLACK, EDGE = 0, 1, 2, 3, 4
# Places in State.cost: running means of the effort
COST_REPAIR, COST_REFILL = 0, 1


class State(NamedTuple):
    """All columns of a run. F flows, K capacities, N route entries; numbers are floats or Fractions."""

    # the instance
    route_ptr: Any  # F + 1
    route_ids: Any  # N
    route_coef: Any  # N
    after_ptr: Any  # F + 1: the flows that wait for a flow
    after_ids: Any
    member_ptr: Any  # K + 1: room for the flows sending through a capacity
    size: Any  # F, bytes
    delay: Any  # F
    start: Any  # F
    flow_cap: Any  # F
    watched: Any  # F
    event_time: Any
    event_id: Any
    event_limit: Any
    # flows
    phase: Any
    waits: Any  # flows it still waits for
    left: Any  # repetitions left
    rest: Any  # bytes left at anchor
    anchor: Any
    rate: Any
    share: Any  # the rate being sought; equal to rate elsewhere
    end: Any
    begin: Any
    born: Any  # eligible, with its base
    born_base: Any
    died: Any  # finished, with its base
    died_base: Any
    host: Any  # the capacity in whose queue it is; of a moving flow the one that bounds or fixes it, -1 its own cap
    mark: Any
    bound: Any  # a moving flow's ceiling: its own cap and the levels outside the area
    # capacities
    limit: Any  # bytes/s now
    spare: Any  # limit less what its flows take
    level: Any  # the rate at which it holds flows back; inf if it does not
    trial: Any  # the level being sought
    users: Any  # flows sending through it
    open: Any  # of them open
    lifted: Any  # of them open when filling began
    weight: Any  # sum of coefficients of the open
    floor: Any  # at most the least bound of the open
    inside: Any  # in the area
    soonest: Any
    busy: Any
    busy_since: Any
    full: Any
    full_since: Any
    passed: Any  # bytes carried of flows, and of repetitions of flows, that have ended
    carried: Any  # bytes carried by now, see tally()
    # who sends through what: member[p] and its route entry, and where each entry is
    member: Any
    member_entry: Any
    slot: Any
    rising: Any  # by capacity, like member: the flows lifted off it
    # heaps: items, where each item is (-1: nowhere), keys
    pending: Any
    pending_place: Any
    pending_key: Any
    finishing: Any
    finishing_place: Any
    finishing_key: Any
    filling: Any
    filling_key: Any
    # lists, their lengths in count
    used: Any
    used_place: Any
    area: Any
    moving: Any
    ready: Any
    hits: Any
    # scalars
    count: Any
    clock: Any
    rule: Any
    cost: Any


# --- heaps
# ---------------------------------------------------------------------------------------------------------------


def sift_up(heap: Any, place: Any, key: Any, i: int) -> None:
    item = heap[i]
    mine = key[item]
    while i > 0:
        up = (i - 1) >> 1
        other = heap[up]
        if key[other] <= mine:
            break
        heap[i] = other
        place[other] = i
        i = up
    heap[i] = item
    place[item] = i


def sift_down(heap: Any, place: Any, key: Any, i: int, n: int) -> None:
    item = heap[i]
    mine = key[item]
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and key[heap[child + 1]] < key[heap[child]]:
            child += 1
        other = heap[child]
        if key[other] >= mine:
            break
        heap[i] = other
        place[other] = i
        i = child
    heap[i] = item
    place[item] = i


def sink(heap: Any, key: Any, i: int, n: int) -> None:
    """sift_down for a heap that nothing is looked up in: keys lie beside the items."""
    item = heap[i]
    mine = key[i]
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and key[child + 1] < key[child]:
            child += 1
        if key[child] >= mine:
            break
        heap[i] = heap[child]
        key[i] = key[child]
        i = child
    heap[i] = item
    key[i] = mine


def put(heap: Any, place: Any, key: Any, count: Any, length: int, item: int, value: Any) -> None:
    """Insert an item, or move it to its new key."""
    i = place[item]
    if i < 0:
        i = count[length]
        count[length] = i + 1
        heap[i] = item
        place[item] = i
        key[item] = value
        sift_up(heap, place, key, i)
    elif value < key[item]:
        key[item] = value
        sift_up(heap, place, key, i)
    else:
        key[item] = value
        sift_down(heap, place, key, i, count[length])


def drop(heap: Any, place: Any, key: Any, count: Any, length: int, item: int) -> None:
    """Take an item out, wherever it is."""
    i = place[item]
    if i < 0:
        return
    place[item] = -1
    n = count[length] - 1
    count[length] = n
    if i < n:
        heap[i] = heap[n]
        place[heap[i]] = i
        sift_up(heap, place, key, i)
        sift_down(heap, place, key, place[heap[i]], n)


# --- rates
# ---------------------------------------------------------------------------------------------------------------


def enlist(s: State, k: int) -> None:
    """Put a capacity into the area."""
    if s.inside[k] == 0:
        s.inside[k] = 1
        s.area[s.count[AREA_N]] = k
        s.count[AREA_N] += 1


def enrol(s: State, f: int) -> None:
    """Make a flow move."""
    s.mark[f] = OPEN
    s.moving[s.count[MOVING_N]] = f
    s.count[MOVING_N] += 1


def inconsistent(s: State, k: int) -> bool:
    """Over-full; or with a level and not full; or full, which only a level explains, without one."""
    if s.level[k] == INF:
        return bool(s.spare[k] <= s.rule[EDGE] * s.limit[k])
    return bool(abs(s.spare[k]) > s.rule[SLACK] * s.limit[k])


def fastest(s: State, k: int) -> Any:
    """The highest rate sought on a capacity."""
    highest = s.limit[k] * 0
    first = s.member_ptr[k]
    for p in range(first, first + s.users[k]):
        highest = max(highest, s.share[s.member[p]])
    return highest


def absorb(s: State, k: int) -> None:
    """Make every flow move that capacity k holds back."""
    member, mark, host = s.member, s.mark, s.host
    first = s.member_ptr[k]
    s.count[EFFORT] += s.users[k]
    for p in range(first, first + s.users[k]):
        f = member[p]
        if host[f] == k and mark[f] == STILL:
            enrol(s, f)


def pull(s: State, k: int, level: Any) -> bool:
    """Make every flow through k move that is faster than a level; whether there was one."""
    member, mark, share = s.member, s.mark, s.share
    first = s.member_ptr[k]
    before = s.count[MOVING_N]
    s.count[EFFORT] += s.users[k]
    above = level + s.rule[SNAP] * level
    for p in range(first, first + s.users[k]):
        f = member[p]
        if mark[f] == STILL and share[f] > above:
            enrol(s, f)
    return bool(s.count[MOVING_N] > before)


def own_level(s: State, k: int) -> Any:
    """The level at which k would fill if still flows rose no further than their rate and moving ones without end."""
    member, entry, coef, mark, share = s.member, s.member_entry, s.route_coef, s.mark, s.share
    first = s.member_ptr[k]
    last = first + s.users[k]
    level = s.limit[k] * 0
    while True:
        taken = s.limit[k] * 0
        weight = s.limit[k] * 0
        s.count[EFFORT] += s.users[k]
        for p in range(first, last):
            f = member[p]
            if mark[f] == STILL and share[f] <= level:
                taken += coef[entry[p]] * share[f]
            else:
                weight += coef[entry[p]]
        if weight == 0:
            return INF
        raised = (s.limit[k] - taken) / weight
        if raised <= level:
            return level
        level = raised


def lift(s: State) -> None:
    """Take the moving flows off their capacities, and note what bounds each from outside the area."""
    ptr, ids, coef, spare, weight, open_ = s.route_ptr, s.route_ids, s.route_coef, s.spare, s.weight, s.open
    level, inside, floor, share, mark, moving = s.level, s.inside, s.floor, s.share, s.mark, s.moving
    member_ptr, rising = s.member_ptr, s.rising
    effort = 0
    for i in range(s.count[AREA_N]):
        k = s.area[i]
        floor[k] = INF
        weight[k] = s.limit[k] * 0  # a count says when nothing is open, never a sum
    for i in range(s.count[MOVING_N]):
        f = moving[i]
        taken = share[f]
        mark[f] = OPEN
        bound = s.flow_cap[f]
        host = -1
        for e in range(ptr[f], ptr[f + 1]):
            k = ids[e]
            spare[k] += coef[e] * taken
            weight[k] += coef[e]
            rising[member_ptr[k] + open_[k]] = f
            open_[k] += 1
            if inside[k] == 0 and level[k] < bound:
                bound = level[k]
                host = k
        effort += ptr[f + 1] - ptr[f]
        s.bound[f] = bound
        if bound < INF:
            s.host[f] = host
            for e in range(ptr[f], ptr[f + 1]):
                if bound < floor[ids[e]]:
                    floor[ids[e]] = bound
    s.count[EFFORT] += 2 * effort


def fix_bounded(s: State, k: int, lifted: int, level: Any, reached: Any) -> Any:
    """Fix the open flows through k whose bound lies below a level, each at its bound; the highest level reached."""
    ptr, ids, coef = s.route_ptr, s.route_ids, s.route_coef
    lowest = INF
    first = s.member_ptr[k]
    for p in range(first, first + lifted):
        f = s.rising[p]
        if s.mark[f] != OPEN:
            continue
        bound = s.bound[f]
        if bound >= level:
            lowest = min(lowest, bound)
            continue
        reached = max(reached, bound)
        s.mark[f] = FIXED
        s.share[f] = bound
        for e in range(ptr[f], ptr[f + 1]):
            m = ids[e]
            s.spare[m] -= coef[e] * bound
            s.weight[m] -= coef[e]
            s.open[m] -= 1
    s.floor[k] = lowest
    return reached


def fix_open(s: State, k: int, lifted: int, level: Any) -> None:
    """Fix all open flows through k at its level."""
    ptr, ids, coef, spare, weight, open_ = s.route_ptr, s.route_ids, s.route_coef, s.spare, s.weight, s.open
    rising, mark, share, host = s.rising, s.mark, s.share, s.host
    first = s.member_ptr[k]
    spare[k] -= weight[k] * level
    open_[k] = 0
    for p in range(first, first + lifted):
        f = rising[p]
        if mark[f] == OPEN:
            mark[f] = FIXED
            share[f] = level
            host[f] = k
            for e in range(ptr[f], ptr[f + 1]):
                m = ids[e]
                if m != k:
                    spare[m] -= coef[e] * level
                    weight[m] -= coef[e]
                    open_[m] -= 1
    s.count[EFFORT] += lifted


def fill(s: State) -> None:
    """Progressive filling of the area with the open flows."""
    heap, key, lifted, count = s.filling, s.filling_key, s.lifted, s.count
    spare, weight, open_, limit, trial = s.spare, s.weight, s.open, s.limit, s.trial
    n = 0
    for i in range(count[AREA_N]):
        k = s.area[i]
        trial[k] = INF
        if open_[k] > 0:
            lifted[k] = open_[k]
            heap[n] = k
            key[n] = spare[k] / weight[k] if limit[k] > 0 else limit[k]
            n += 1
    for i in range(n // 2 - 1, -1, -1):
        sink(heap, key, i, n)
    reached = limit[0] * 0
    while n > 0:
        k = heap[0]
        if open_[k] == 0:
            n -= 1
            heap[0] = heap[n]
            key[0] = key[n]
            if n > 0:
                sink(heap, key, 0, n)
            continue
        level = spare[k] / weight[k] if limit[k] > 0 else limit[k]
        if level > key[0]:
            key[0] = level
            sink(heap, key, 0, n)
            continue
        # Levels never fall while filling, and levels that rounding alone holds apart are made one, so that ties stay
        # ties
        if limit[k] > 0 and level - reached <= s.rule[SNAP] * level:
            level = reached
        elif abs(level - s.level[k]) <= s.rule[SNAP] * level:
            level = max(s.level[k], reached)
        if s.floor[k] < level:
            reached = fix_bounded(s, k, lifted[k], level, reached)
            continue
        reached = max(reached, level)
        trial[k] = level
        fix_open(s, k, lifted[k], level)


def spread(s: State) -> bool:
    """Check the certificate where rates changed; whether it failed somewhere, so that the area has grown."""
    ptr, ids, inside, spare = s.route_ptr, s.route_ids, s.inside, s.spare
    grown = False
    moving = s.count[MOVING_N]
    for i in range(s.count[AREA_N]):
        k = s.area[i]
        if spare[k] < -s.rule[SLACK] * s.limit[k]:
            grown |= pull(s, k, own_level(s, k))
        elif s.trial[k] < s.level[k]:
            grown |= pull(s, k, s.trial[k])
    for i in range(moving):
        f = s.moving[i]
        if s.share[f] == s.rate[f]:
            continue
        s.count[EFFORT] += ptr[f + 1] - ptr[f]
        for e in range(ptr[f], ptr[f + 1]):
            k = ids[e]
            if inside[k] == 0 and inconsistent(s, k):
                enlist(s, k)
                grown = True
                if s.level[k] == INF:  # it holds nothing back yet: find whom it must
                    pull(s, k, own_level(s, k))
    return grown


def repair(s: State, budget: int) -> bool:
    """Let the area grow until the certificate holds; False if that takes more than the budget of effort."""
    absorbed = 0
    while True:
        while absorbed < s.count[AREA_N]:
            absorb(s, s.area[absorbed])
            absorbed += 1
        lift(s)
        fill(s)
        if s.count[EFFORT] > budget:
            return False
        if not spread(s):
            return True


def empty(s: State, k: int) -> None:
    """Take the moving flows off a capacity. What is left over is summed anew, so that rounding leaves no trace."""
    member, entry, coef, mark, share, rising = s.member, s.member_entry, s.route_coef, s.mark, s.share, s.rising
    first = s.member_ptr[k]
    spare = s.limit[k]
    weight = s.limit[k] * 0
    lifted = first
    for p in range(first, first + s.users[k]):
        f = member[p]
        if mark[f] == STILL:
            spare -= coef[entry[p]] * share[f]
        else:
            weight += coef[entry[p]]
            rising[lifted] = f
            lifted += 1
    s.spare[k] = spare
    s.weight[k] = weight
    s.open[k] = lifted - first
    s.floor[k] = INF
    s.count[EFFORT] += s.users[k]


def refill(s: State) -> None:
    """Fill afresh from the lowest level that the changes touch: below it filling would run as before. No check."""
    count = s.count
    cut = s.clock[CUT]
    for i in range(count[AREA_N]):
        if cut > 0:
            cut = min(cut, own_level(s, s.area[i]))
    if cut < INF:
        cut -= 1000 * s.rule[SNAP] * cut  # levels that rounding holds apart stay on one side
    for i in range(count[MOVING_N]):
        f = s.moving[i]
        s.mark[f] = OPEN
        if s.rate[f] > 0:  # moved by a repair given up: no capacity of its route stays below the cut
            cut = min(cut, s.rate[f] - 1000 * s.rule[SNAP] * s.rate[f])
    for i in range(count[USED_N]):
        k = s.used[i]
        if s.level[k] >= cut:
            enlist(s, k)
    for i in range(s.count[AREA_N]):
        absorb(s, s.area[i])
    for i in range(s.count[AREA_N]):
        empty(s, s.area[i])
    for i in range(count[MOVING_N]):
        f = s.moving[i]
        s.bound[f] = s.flow_cap[f]
        if s.flow_cap[f] < INF:
            s.host[f] = -1
            for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
                k = s.route_ids[e]
                s.floor[k] = min(s.floor[k], s.flow_cap[f])
                if s.inside[k] == 0:  # it moves because its queue does, and may be slower than the cut
                    s.spare[k] += s.route_coef[e] * s.share[f]
                    s.weight[k] += s.route_coef[e]
                    s.open[k] += 1
    fill(s)


def refresh(s: State) -> None:
    """Sum the spare capacities anew: thousands of additions and subtractions leave a trace."""
    for i in range(s.count[USED_N]):
        k = s.used[i]
        spare = s.limit[k]
        for p in range(s.member_ptr[k], s.member_ptr[k] + s.users[k]):
            spare -= s.route_coef[s.member_entry[p]] * s.rate[s.member[p]]
        s.spare[k] = spare


def settle(s: State) -> None:
    """Find the rates after a change, by the method that has lately been cheaper."""
    count, cost = s.count, s.cost
    kept = 0
    for i in range(count[AREA_N]):
        k = s.area[i]
        if s.users[k] > 0:
            s.area[kept] = k
            kept += 1
        else:
            s.inside[k] = 0
    count[AREA_N] = kept
    if kept > 0:
        if count[SENDING_N] > 0:
            count[EPOCHS] += 1
            if count[EPOCHS] % REFRESH == 0:
                refresh(s)
        count[EFFORT] = 0
        if count[METHOD] == FULL:
            s.clock[CUT] = s.clock[NOW] * 0
            refill(s)
        elif count[METHOD] == REPAIR:
            repair(s, 1 << 62)
        elif count[TRUST] > 0:  # repairs were dearer: leave them alone for a while
            count[TRUST] -= 1
            refill(s)
            cost[COST_REFILL] += (count[EFFORT] - cost[COST_REFILL]) * 0.1
        else:
            attempt(s)
        commit(s)
        count[WORK] += count[EFFORT] + 16
    s.clock[CUT] = s.clock[NOW] * 0 + INF


def attempt(s: State) -> None:
    """Repair; if it grows too dear refill after all, and learn from what either took."""
    count, cost = s.count, s.cost
    budget = 4 * count[ENTRIES_N] + 64
    if not repair(s, budget):
        before = count[EFFORT]
        refill(s)
        if cost[COST_REFILL] == 0:
            cost[COST_REFILL] = count[EFFORT] - before
    cost[COST_REPAIR] += (count[EFFORT] - cost[COST_REPAIR]) * 0.25
    if cost[COST_REPAIR] > 1.2 * max(cost[COST_REFILL], 64) and cost[COST_REFILL] > 0:
        count[TRUST] = count[PATIENCE]
        count[PATIENCE] = min(256, 2 * count[PATIENCE])
        cost[COST_REPAIR] = cost[COST_REFILL]
    elif count[TRUST] == 0 and 2 * count[EFFORT] < cost[COST_REFILL]:
        count[PATIENCE] = 16


def commit(s: State) -> None:
    """Make the rates and levels sought the ones that hold from now on."""
    count, now = s.count, s.clock[NOW]
    inside, soonest, end, rate, rest, anchor = s.inside, s.soonest, s.end, s.rate, s.rest, s.anchor
    for i in range(count[AREA_N]):
        k = s.area[i]
        if s.limit[k] == 0:  # no rounding is left where nothing flows
            s.spare[k] = s.limit[k]
        # full together with another that was first to fix its flows
        if s.trial[k] == INF and s.spare[k] <= s.rule[SNAP] * s.limit[k]:
            s.trial[k] = fastest(s, k)
        if s.level[k] == INF and s.trial[k] < INF:
            s.full_since[k] = now
        elif s.level[k] < INF and s.trial[k] == INF:
            s.full[k] += now - s.full_since[k]
        s.level[k] = s.trial[k]
        soonest[k] = INF
    for i in range(count[MOVING_N]):
        f = s.moving[i]
        s.mark[f] = STILL
        new = s.share[f]
        if new != rate[f]:  # an unchanged rate keeps its end to the last bit
            rest[f] = max(rest[f] - rate[f] * (now - anchor[f]), now * 0)
            anchor[f] = now
            rate[f] = new
            end[f] = now + rest[f] / new if new > 0 else INF
        k = s.host[f]
        if k < 0:  # held back by its own cap: any of its capacities may queue it
            k = s.route_ids[s.route_ptr[f]]
            s.host[f] = k
        if inside[k] != 0:
            if end[f] < soonest[k]:
                soonest[k] = end[f]
        elif end[f] < INF and (s.finishing_place[k] < 0 or end[f] < s.finishing_key[k]):
            put(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k, end[f])
    for i in range(count[AREA_N]):
        k = s.area[i]
        inside[k] = 0
        if soonest[k] < INF:
            put(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k, soonest[k])
        else:
            drop(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k)
    count[AREA_N] = 0
    count[MOVING_N] = 0
    s.clock[CHANGED] = now


# --- flows come and go
# ---------------------------------------------------------------------------------------------------


def join(s: State, f: int) -> None:
    """A flow begins to send: at rate 0 until rates are settled."""
    now, count = s.clock[NOW], s.count
    s.phase[f] = SENDING
    s.rest[f] = s.size[f]
    s.anchor[f] = now
    s.begin[f] = now
    s.rate[f] = now * 0
    s.share[f] = now * 0
    s.end[f] = INF
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        k = s.route_ids[e]
        if s.users[k] == 0:
            s.busy_since[k] = now
            s.used_place[k] = count[USED_N]
            s.used[count[USED_N]] = k
            count[USED_N] += 1
        p = s.member_ptr[k] + s.users[k]
        s.member[p] = f
        s.member_entry[p] = e
        s.slot[e] = p
        s.users[k] += 1
        enlist(s, k)
    count[SENDING_N] += 1
    count[ENTRIES_N] += s.route_ptr[f + 1] - s.route_ptr[f]
    enrol(s, f)


def leave(s: State, f: int) -> None:
    """A flow stops sending; the capacities that this disturbs form the area."""
    count, rate = s.count, s.rate[f]
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        k = s.route_ids[e]
        s.users[k] -= 1
        p, last = s.slot[e], s.member_ptr[k] + s.users[k]
        s.member[p] = s.member[last]
        s.member_entry[p] = s.member_entry[last]
        s.slot[s.member_entry[p]] = p
        s.spare[k] += s.route_coef[e] * rate
        s.passed[k] += s.route_coef[e] * s.size[f]
        if s.users[k] == 0:
            vacate(s, k)
        elif s.level[k] < INF and inconsistent(s, k):
            enlist(s, k)
    s.clock[CUT] = min(s.clock[CUT], rate)
    count[SENDING_N] -= 1
    count[ENTRIES_N] -= s.route_ptr[f + 1] - s.route_ptr[f]


def vacate(s: State, k: int) -> None:
    """The last flow has left a capacity."""
    now, count = s.clock[NOW], s.count
    s.spare[k] = s.limit[k]
    s.busy[k] += now - s.busy_since[k]
    if s.level[k] < INF:
        s.full[k] += now - s.full_since[k]
        s.level[k] = INF
    drop(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k)
    count[USED_N] -= 1
    moved = s.used[count[USED_N]]
    s.used[s.used_place[k]] = moved
    s.used_place[moved] = s.used_place[k]


def set_limit(s: State, k: int, limit: Any) -> None:
    """Change a capacity now."""
    s.clock[CUT] = min(s.clock[CUT], s.level[k])
    s.spare[k] += limit - s.limit[k]
    s.limit[k] = limit
    if s.users[k] == 0:
        s.spare[k] = limit
    elif s.inside[k] == 0 and (limit == 0 or inconsistent(s, k)):
        enlist(s, k)


def queue(s: State, f: int, phase: int, at: Any) -> None:
    """Wake a flow at a time."""
    s.phase[f] = phase
    put(s.pending, s.pending_place, s.pending_key, s.count, PENDING_N, f, at)


def admit(s: State, f: int) -> None:
    """All that a flow waited for has finished."""
    start = s.start[f] - s.clock[BASE]
    if start > s.clock[NOW]:
        queue(s, f, SCHEDULED, start)
    else:
        become_eligible(s, f, s.clock[NOW])


def launch(s: State) -> None:
    """Admit all flows that wait for nothing."""
    s.count[LAUNCHED] = 1
    for f in range(len(s.size)):
        if s.waits[f] == 0:
            admit(s, f)


def become_eligible(s: State, f: int, at: Any) -> None:
    clock = s.clock
    s.born[f] = at
    s.born_base[f] = clock[BASE]
    if (at - clock[FIRST]) + (clock[BASE] - clock[FIRST_BASE]) < 0:
        clock[FIRST] = at
        clock[FIRST_BASE] = clock[BASE]
    if s.delay[f] > 0:
        queue(s, f, DELAYED, at + s.delay[f])
    else:
        set_off(s, f)


def set_off(s: State, f: int) -> None:
    """The delay is over."""
    if s.size[f] > 0 and s.route_ptr[f + 1] > s.route_ptr[f]:
        join(s, f)
    else:
        s.phase[f] = DELAYED
        conclude_later(s, f)


def conclude_later(s: State, f: int) -> None:
    s.ready[s.count[READY_N]] = f
    s.count[READY_N] += 1


def conclude(s: State, f: int) -> None:
    """The bytes of a flow have left: repeat it, or wake those that wait for it."""
    clock = s.clock
    if s.phase[f] == LEAVING:
        leave(s, f)
    s.left[f] -= 1
    if s.left[f] > 0:
        queue(s, f, DELAYED, clock[NOW] + s.delay[f])
        return
    s.phase[f] = FINISHED
    s.died[f] = clock[NOW]
    s.died_base[f] = clock[BASE]
    clock[LAST] = clock[NOW]
    clock[LAST_BASE] = clock[BASE]
    s.count[FINISHED_N] += 1
    if s.watched[f] != 0:
        s.hits[s.count[HITS_N]] = f
        s.count[HITS_N] += 1
    for i in range(s.after_ptr[f], s.after_ptr[f + 1]):
        other = s.after_ids[i]
        s.waits[other] -= 1
        if s.waits[other] == 0:
            admit(s, other)


# --- time
# ----------------------------------------------------------------------------------------------------------------


def upcoming(s: State) -> Any:
    """When something happens next, as an offset; inf if nothing does by itself."""
    at = s.clock[NOW] * 0 + INF
    if s.count[FINISHING_N] > 0:
        at = min(at, s.finishing_key[s.finishing[0]])
    if s.count[PENDING_N] > 0:
        at = min(at, s.pending_key[s.pending[0]])
    if s.count[NEXT_EVENT] < len(s.event_time) and (s.count[FINISHED_N] < len(s.size)):
        at = min(at, s.event_time[s.count[NEXT_EVENT]] - s.clock[BASE])
    return max(at, s.clock[NOW])


def due(s: State) -> Any:
    """Ends up to this time are one with now: the distance is relative to how long the next flow has been sending,
    never to the time of day, which would merge everything at a late hour."""
    now = s.clock[NOW]
    near = now + s.rule[ROUNDING] * now
    if s.count[FINISHING_N] == 0:
        return near
    k = s.finishing[0]
    soonest = s.finishing_key[k]
    if soonest > near + s.rule[MERGE] * (now + s.clock[BASE]):
        return near
    first = s.member_ptr[k]
    for p in range(first, first + s.users[k]):
        f = s.member[p]
        if s.host[f] == k and s.end[f] == soonest:
            return near + s.rule[MERGE] * (now - s.begin[f])
    return near


def collect(s: State) -> None:
    """Gather the flows whose bytes leave now."""
    horizon = due(s)
    while s.count[FINISHING_N] > 0 and s.finishing_key[s.finishing[0]] <= horizon:
        k = s.finishing[0]
        soonest = s.clock[NOW] * 0 + INF
        first = s.member_ptr[k]
        s.count[WORK] += s.users[k]
        for p in range(first, first + s.users[k]):
            f = s.member[p]
            if s.host[f] != k:
                continue
            if s.end[f] > horizon:
                soonest = min(soonest, s.end[f])
            elif s.phase[f] == SENDING:
                s.phase[f] = LEAVING
                conclude_later(s, f)
        if soonest < INF:
            put(s.finishing, s.finishing_place, s.finishing_key, s.count, FINISHING_N, k, soonest)
        else:
            drop(s.finishing, s.finishing_place, s.finishing_key, s.count, FINISHING_N, k)


def skip(s: State, until: Any) -> None:
    """Where all that goes on ends now and starts again alike, the next rounds are copies of it: leap over them."""
    count, clock = s.count, s.clock
    now = clock[NOW]
    if count[READY_N] == 0 or count[READY_N] != count[SENDING_N] or count[PENDING_N] > 0:
        return
    delay = s.delay[s.ready[0]]
    rounds = s.left[s.ready[0]] - 1
    for i in range(count[READY_N]):
        f = s.ready[i]
        rounds = min(rounds, s.left[f] - 1)
        if rounds <= 0 or s.phase[f] != LEAVING or s.delay[f] != delay or s.begin[f] != clock[CHANGED]:
            return
    sending = now - clock[CHANGED]
    limit = until - clock[BASE]
    if count[NEXT_EVENT] < len(s.event_time):
        limit = min(limit, s.event_time[count[NEXT_EVENT]] - clock[BASE])
    if limit < INF and sending + delay > 0:
        rounds = min(rounds, math.floor((limit - now) / (sending + delay)))
    if rounds <= 0:
        return
    for i in range(count[READY_N]):
        f = s.ready[i]
        s.left[f] -= rounds
        for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
            s.passed[s.route_ids[e]] += rounds * s.route_coef[e] * s.size[f]
    for i in range(count[USED_N]):
        k = s.used[i]
        s.busy[k] += rounds * sending
        s.busy_since[k] += rounds * (sending + delay)
        if s.level[k] < INF:
            s.full[k] += rounds * sending
            s.full_since[k] += rounds * (sending + delay)
    count[EPOCHS] += rounds
    clock[NOW] = now + rounds * (sending + delay)


def happen(s: State, until: Any) -> None:
    """Everything that is due now, and what follows from it without delay."""
    count, clock = s.count, s.clock
    while count[NEXT_EVENT] < len(s.event_time) and s.event_time[count[NEXT_EVENT]] - clock[BASE] <= clock[NOW]:
        i = count[NEXT_EVENT]
        count[NEXT_EVENT] = i + 1
        set_limit(s, s.event_id[i], s.event_limit[i])
    collect(s)
    skip(s, until)
    while True:
        while count[READY_N] > 0:
            count[READY_N] -= 1
            conclude(s, s.ready[count[READY_N]])
        if count[PENDING_N] == 0:
            return
        f = s.pending[0]
        at = s.pending_key[f]
        if at > clock[NOW] + s.rule[ROUNDING] * clock[NOW]:
            return
        drop(s.pending, s.pending_place, s.pending_key, count, PENDING_N, f)
        if s.phase[f] == SCHEDULED:
            become_eligible(s, f, at)
        else:
            set_off(s, f)


def move_base(s: State) -> None:
    """Count time from a later whole second. Subtracting whole seconds rounds nothing that lies ahead."""
    count, clock = s.count, s.clock
    count[SINCE_SHIFT] += 1
    if clock[NOW] < 1 or count[SINCE_SHIFT] < count[SENDING_N] + count[PENDING_N]:
        return
    count[SINCE_SHIFT] = 0
    whole = math.floor(clock[NOW])
    clock[BASE] += whole
    clock[NOW] -= whole
    clock[CHANGED] -= whole
    for i in range(count[PENDING_N]):
        f = s.pending[i]
        if s.phase[f] == SCHEDULED:
            s.pending_key[f] = s.start[f] - clock[BASE]
        else:
            s.pending_key[f] -= whole
    for i in range(count[USED_N]):
        k = s.used[i]
        s.busy_since[k] -= whole
        s.full_since[k] -= whole
        if s.finishing_place[k] >= 0:
            s.finishing_key[k] -= whole
        for p in range(s.member_ptr[k], s.member_ptr[k] + s.users[k]):
            f = s.member[p]
            if s.member_entry[p] == s.route_ptr[f]:  # each flow once: with its first capacity
                s.end[f] -= whole
                s.anchor[f] -= whole
                s.begin[f] -= whole


def tally(s: State) -> None:
    """Sum up what each capacity has carried by now."""
    now = s.clock[NOW]
    for k in range(len(s.limit)):
        carried = s.passed[k]
        for p in range(s.member_ptr[k], s.member_ptr[k] + s.users[k]):
            f = s.member[p]
            rest = max(s.rest[f] - s.rate[f] * (now - s.anchor[f]), now * 0)
            carried += s.route_coef[s.member_entry[p]] * (s.size[f] - rest)
        s.carried[k] = carried


def advance(s: State, until: Any, rounds: int) -> int:
    """Run until a watched flow finishes, a time, the end, a stall, or so many rounds of the loop.

    TALLY less one is the number of rounds from which on it ends with tally(); 0 is never.
    """
    code = proceed(s, until, rounds)
    if 0 < s.count[TALLY] <= s.count[ROUNDS] + 1:
        tally(s)
    return code


def proceed(s: State, until: Any, rounds: int) -> int:
    """The loop over the changes of rates."""
    count, clock = s.count, s.clock
    if count[LAUNCHED] == 0:
        launch(s)
    while True:
        if count[READY_N] > 0:  # admitted between two epochs, with nothing to send
            happen(s, until)
        settle(s)
        if count[HITS_N] > 0:
            return WATCHED
        if rounds == 0:
            return PAUSED
        rounds -= 1
        at = upcoming(s)
        if at == INF or at > until - clock[BASE]:
            if until < INF:
                clock[NOW] = max(clock[NOW], until - clock[BASE])
            if at < INF:
                return UNTIL
            return DONE if count[FINISHED_N] == len(s.size) else STALLED
        clock[NOW] = at
        count[ROUNDS] += 1
        move_base(s)
        happen(s, until)
