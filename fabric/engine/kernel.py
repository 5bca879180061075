"""The algorithm, once, for three number systems.

Plain functions over indexable columns, in the part of Python that numba compiles. Run as they are on lists of floats or
of Fractions they are the small and the exact engine; `compiled.py` compiles these same functions for large work. Hence
the style: flat loops, integers as names, the literal 0 instead of 0.0 (a Fraction must not become a float).

**Rates.** Every flow is held back by one capacity, its *host*, and sends at the level of that host. Where nothing is
over-full, every host is exactly full, and no flow is faster than the level of any capacity on its route, the rates are
max-min fair: each flow uses a full capacity on which none is faster, which characterises the one max-min point.

**Change.** Completions, begins and capacity changes leave a few capacities inconsistent. The sweep takes them in the order
of their levels, gives each the level at which it is full, and tells the capacities that its flows pass further on, which
may become inconsistent in turn. Levels depend on lower levels only, so nearly all are set once. Two things can change a
flow's host: a capacity that rises past another on the flow's route gives the flow away, and one that falls takes the faster
flows over. When the heap is empty the conditions above hold, whatever the order was. A sweep is given up for progressive
filling from nothing (`fill`) where that is likely to cost less: all open flows rise together until a capacity is full; its
flows are fixed at that level, and the rest rise on.

The heap is lazy: a key is a guess from below, renewed when it reaches the top. While filling goes on levels only rise; in
a sweep one that fell behind its key is set a little late, which costs a second look at what it disturbs and no exactness.

**Time.** Between two changes all rates are constant. The flows of one host send alike, so they share one count of bytes
(`served`), and what each has left is `rest - served`: a new level touches no flow. The one with the least rest stays the
next to finish until flows come or go; the heap of completions holds one time per host. Times are offsets from a base of
whole seconds that moves along, so that late times keep their digits.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

INF = math.inf

# Phases of a flow
WAITING, SCHEDULED, DELAYED, SENDING, LEAVING, FINISHED = 0, 1, 2, 3, 4, 5
# Answers of advance()
DONE, STALLED, UNTIL, WATCHED, PAUSED = 0, 1, 2, 3, 4
# Methods
HYBRID, FULL, REPAIR = 0, 1, 2
# Epochs between two refresh()
REFRESH = 512
# A sweep may cost so many times what looking at every route entry does before all is filled afresh
BUDGET, LARGE_BUDGET = 4, 64

# Places in State.count
PENDING_N, FINISHING_N, USED_N, AREA_N, NEW_N, READY_N, HITS_N = 0, 1, 2, 3, 4, 5, 6
SENDING_N, ENTRIES_N, FINISHED_N = 7, 8, 9  # flows sending, their route entries, flows finished
EPOCHS, NEXT_EVENT, SINCE_SHIFT, METHOD = 10, 11, 12, 13
EFFORT, WORK = 14, 15  # route entries looked at in this epoch, in all
LAUNCHED, ROUNDS, TALLY = 16, 17, 18  # the run has begun; times at which something happened; see advance()
FILLING_N = 19
COUNTS = 20
# Places in State.clock: now, base; the last change of rates; first eligible and last finish with their bases
NOW, BASE, CHANGED, FIRST, FIRST_BASE, LAST, LAST_BASE = 0, 1, 2, 3, 4, 5, 6
CLOCKS = 7
# Places in State.rule: relative distances below which levels are one, ends are one, times are one, a capacity with a
# level is full; and the spare capacity from which one without a level counts as full
SNAP, MERGE, ROUNDING, SLACK, EDGE = 0, 1, 2, 3, 4


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
    watched: Any  # F
    event_time: Any
    event_id: Any
    event_limit: Any
    # flows
    phase: Any
    waits: Any  # flows it still waits for
    left: Any  # repetitions left
    rest: Any  # bytes left and `served` of its host together
    begin: Any
    born: Any  # eligible, with its base
    born_base: Any
    died: Any  # finished, with its base
    died_base: Any
    host: Any  # the capacity that holds it back, whose level is its rate; -1 none yet
    home: Any  # while filling: its host before; -1 if it has bytes left on no count
    # capacities
    limit: Any  # bytes/s now; those of the network first, then the caps of single flows, each used by its flow alone
    spare: Any  # limit less what its flows take
    level: Any  # the rate at which it holds flows back; inf if it does not
    aim: Any  # its level, or where the sweep will look at it
    queued: Any  # waits for the sweep
    users: Any  # flows sending through it
    hosted: Any  # of them held back by it
    own: Any  # sum of their coefficients
    open: Any  # while filling: its flows that have no host yet
    ceiling: Any  # no flow hosted elsewhere is faster
    served: Any  # bytes that each flow held back has sent up to `since`, when the level became what it is
    since: Any
    next: Any  # of the flows held back the one with the least rest; -1 unknown
    inside: Any  # in the area
    busy: Any
    busy_since: Any
    full: Any
    passed: Any  # bytes carried of flows, and of repetitions of flows, that have ended
    carried: Any  # bytes carried by now, see tally()
    # who sends through what: member[p] and its route entry, and where each entry is
    member: Any  # first those that the capacity holds back
    member_entry: Any
    slot: Any
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
    new: Any  # flows that have begun since rates were settled
    ready: Any
    hits: Any
    # scalars
    count: Any
    clock: Any
    rule: Any


# --- heaps --------------------------------------------------------------------------------------------------------------


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


def rise(heap: Any, key: Any, i: int) -> None:
    """sift_up for a heap that nothing is looked up in: keys lie beside the items."""
    item = heap[i]
    mine = key[i]
    while i > 0:
        up = (i - 1) >> 1
        if key[up] <= mine:
            break
        heap[i] = heap[up]
        key[i] = key[up]
        i = up
    heap[i] = item
    key[i] = mine


def sink(heap: Any, key: Any, i: int, n: int) -> None:
    """sift_down for such a heap."""
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


def pop(heap: Any, key: Any, n: int) -> None:
    """Take the top of n items out of such a heap: the last item nearly always belongs near the bottom again."""
    i = 0
    while 2 * i + 2 < n:
        child = 2 * i + 1
        child += key[child + 1] < key[child]
        heap[i] = heap[child]
        key[i] = key[child]
        i = child
    heap[i] = heap[n - 1]
    key[i] = key[n - 1]
    rise(heap, key, i)


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


# --- hosts --------------------------------------------------------------------------------------------------------------


def touch(s: State, k: int) -> None:
    """Put a capacity into the area."""
    if s.inside[k] == 0:
        s.inside[k] = 1
        s.area[s.count[AREA_N]] = k
        s.count[AREA_N] += 1


def served_by(s: State, k: int, at: Any) -> Any:
    """Bytes that each flow held back by a capacity has sent at a time, on the count of that capacity."""
    return s.served[k] + s.level[k] * (at - s.since[k])


def take_stock(s: State, k: int) -> None:
    """Count up to now what a capacity has served, and how long it has been full."""
    now = s.clock[NOW]
    if s.level[k] < INF:
        s.served[k] = served_by(s, k, now)
        s.full[k] += now - s.since[k]
    s.since[k] = now


def set_level(s: State, k: int, level: Any) -> None:
    """Change a level. One that stays keeps the times that follow from it to the last bit."""
    if level != s.level[k]:
        take_stock(s, k)
        s.level[k] = level


def inconsistent(s: State, k: int) -> bool:
    """Over-full; or with a level and not full; or full, which only a level explains, without one."""
    if s.level[k] == INF:
        return bool(s.spare[k] <= s.rule[EDGE] * s.limit[k])
    return bool(abs(s.spare[k]) > s.rule[SLACK] * s.limit[k])


def disturb(s: State, k: int, at: Any) -> None:
    """Have the sweep look at a capacity if it is inconsistent."""
    if s.queued[k] == 0 and inconsistent(s, k):
        examine(s, k, at)


def examine(s: State, k: int, at: Any) -> None:
    """Have the sweep look at a capacity: at its level, or at the one given if it has none."""
    touch(s, k)
    if s.level[k] == INF:
        set_level(s, k, at)
        s.aim[k] = at
    s.queued[k] = 1
    i = s.count[FILLING_N]
    s.count[FILLING_N] = i + 1
    s.filling[i] = k
    s.filling_key[i] = s.aim[k]
    rise(s.filling, s.filling_key, i)


def trade(s: State, p: int, q: int) -> None:
    """Let two members of a capacity change places."""
    f, e = s.member[p], s.member_entry[p]
    s.member[p] = s.member[q]
    s.member_entry[p] = s.member_entry[q]
    s.slot[s.member_entry[p]] = p
    s.member[q] = f
    s.member_entry[q] = e
    s.slot[e] = q


def part(s: State, f: int) -> None:
    """A flow leaves its host, with the bytes that it has left."""
    k = s.host[f]
    touch(s, k)
    if s.next[k] == f:
        s.next[k] = -1
    s.rest[f] = max(s.rest[f] - served_by(s, k, s.clock[NOW]), s.clock[NOW] * 0)
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        if s.route_ids[e] == k:
            s.own[k] -= s.route_coef[e]
            if s.slot[e] < s.member_ptr[k] + s.hosted[k]:
                s.hosted[k] -= 1
                trade(s, s.slot[e], s.member_ptr[k] + s.hosted[k])
    if s.hosted[k] == 0:  # a count says when nothing is left, never a sum
        s.own[k] = s.limit[k] * 0


def forget_served(s: State, k: int) -> None:
    """Count what a capacity serves from 0 again: rounding of large counts must not touch small flows."""
    first = s.member_ptr[k]
    take_stock(s, k)
    for p in range(first, first + s.hosted[k]):
        f = s.member[p]
        s.rest[f] = max(s.rest[f] - s.served[k], s.clock[NOW] * 0)
    s.count[EFFORT] += s.hosted[k]
    s.served[k] = s.limit[k] * 0


def meet(s: State, f: int, k: int) -> None:
    """A flow without a host, with its bytes left, gets one."""
    if s.hosted[k] == 0:
        s.next[k] = f
    if s.hosted[k] == 0 or s.size[f] < served_by(s, k, s.clock[NOW]):
        forget_served(s, k)
    s.host[f] = k
    new = True
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        if s.route_ids[e] == k:
            s.own[k] += s.route_coef[e]
            if new:  # once, even if its route passes twice
                trade(s, s.slot[e], s.member_ptr[k] + s.hosted[k])
                s.hosted[k] += 1
                new = False
    s.rest[f] += served_by(s, k, s.clock[NOW])
    if s.next[k] >= 0 and s.rest[f] < s.rest[s.next[k]]:
        s.next[k] = f


def hand_over(s: State, f: int, k: int) -> None:
    """Let capacity k hold a flow back from now on."""
    before = s.clock[NOW] * 0
    if s.host[f] >= 0:
        before = s.level[s.host[f]]
        part(s, f)
    touch(s, k)
    if s.level[k] == INF:
        if s.queued[k] == 0:
            examine(s, k, before * 0)
        set_level(s, k, before * 0)
    meet(s, f, k)
    rate = s.level[k]
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        m = s.route_ids[e]
        s.spare[m] -= s.route_coef[e] * (rate - before)
        if s.ceiling[m] < rate:
            s.ceiling[m] = rate
        disturb(s, m, rate)
        s.count[EFFORT] += 4


def adopt(s: State, f: int) -> None:
    """A new flow is held back by the lowest of its capacities, or by the one with the least to spare."""
    best = s.route_ids[s.route_ptr[f]]
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        k = s.route_ids[e]
        if s.level[k] < s.level[best] or (s.level[k] == s.level[best] and s.spare[k] < s.spare[best]):
            best = k
    hand_over(s, f, best)


# --- sweep --------------------------------------------------------------------------------------------------------------


def fair_level(s: State, k: int, level: Any) -> Any:
    """The level at which k would be full if it also held back all that is faster; it is at least the level given."""
    member, entry, coef, host, levels = s.member, s.member_entry, s.route_coef, s.host, s.level
    first = s.member_ptr[k]
    while True:
        taken = s.limit[k] * 0
        weight = s.own[k]
        highest = s.limit[k] * 0
        faster = False
        above = level + s.rule[SNAP] * level
        s.count[EFFORT] += s.users[k]
        for p in range(first + s.hosted[k], first + s.users[k]):
            h = host[member[p]]
            if h == k:
                continue
            if levels[h] <= above:
                taken += coef[entry[p]] * levels[h]
                highest = max(highest, levels[h])
            else:
                weight += coef[entry[p]]
                faster = True
        if not faster:
            s.ceiling[k] = highest
        if not faster and s.hosted[k] == 0:
            return level
        raised = (s.limit[k] - taken) / weight
        if raised <= level:
            return level
        level = raised


def target(s: State, k: int) -> Any:
    """The level at which k would be full."""
    level = s.limit[k] * 0
    if s.hosted[k] > 0 and s.limit[k] > 0:
        level = max(level, s.level[k] + s.spare[k] / s.own[k])
        if not exceeded(s, k, level):
            return level
    return fair_level(s, k, level)


def exceeded(s: State, k: int, level: Any) -> bool:
    """Whether flows of other hosts may be faster than a level."""
    return bool(level < s.ceiling[k] - s.rule[SNAP] * s.ceiling[k])


def shift(s: State, k: int, level: Any) -> None:
    """Give a capacity its level, and tell all that its flows pass. A flow that another keeps lower goes over to it."""
    ptr, ids, coef, spare, aim, ceiling = s.route_ptr, s.route_ids, s.route_coef, s.spare, s.aim, s.ceiling
    change = level - s.level[k]
    set_level(s, k, level)
    aim[k] = level
    spare[k] -= s.own[k] * change
    if s.limit[k] == 0:  # no rounding is left where nothing flows
        spare[k] = s.limit[k]
    if change == 0:
        return
    first = s.member_ptr[k]
    highest = level - s.rule[SNAP] * level
    i = s.hosted[k] * 1  # signed, also when compiled
    s.count[EFFORT] += 3 * i
    while i > 0:  # downwards: a flow that goes changes places with one that has been seen
        i -= 1
        f = s.member[first + i]
        other = k
        lowest = highest
        for e in range(ptr[f], ptr[f + 1]):
            m = ids[e]
            if m == k:
                continue
            spare[m] -= coef[e] * change
            if aim[m] < lowest:
                lowest = aim[m]
                other = m
            if ceiling[m] < level:
                ceiling[m] = level
            disturb(s, m, level)
        if other != k:
            hand_over(s, f, other)


def pull(s: State, k: int) -> None:
    """Hold back all flows through k that are faster than its level."""
    level = s.level[k]
    above = level + s.rule[SNAP] * level
    highest = level * 0
    first = s.member_ptr[k]
    s.count[EFFORT] += s.users[k]
    for p in range(first + s.hosted[k], first + s.users[k]):
        f = s.member[p]
        h = s.host[f]
        if h != k and s.level[h] > above:
            hand_over(s, f, k)
        elif h != k:
            highest = max(highest, s.level[h])
    s.ceiling[k] = highest


def idle_level(s: State, k: int) -> Any:
    """The level of a capacity that holds nothing back: of its fastest flow if it is full together with another."""
    highest = s.limit[k] * 0
    if s.users[k] == 0 or (s.limit[k] > 0 and s.spare[k] > s.rule[SNAP] * s.limit[k]):
        return highest + INF
    first = s.member_ptr[k]
    for p in range(first, first + s.users[k]):
        highest = max(highest, s.level[s.host[s.member[p]]])
    return highest


def sweep(s: State, budget: int) -> bool:
    """Set the levels of what is inconsistent, from below upwards; False if that takes more than the budget of effort."""
    count = s.count
    last = s.limit[0] * 0
    while count[FILLING_N] > 0:
        k = s.filling[0]
        idle = s.hosted[k] == 0 and s.spare[k] >= -s.rule[SLACK] * s.limit[k]
        level = idle_level(s, k) if idle else target(s, k)
        if not idle and level > s.aim[k]:
            s.aim[k] = level
            s.filling_key[0] = level
            sink(s.filling, s.filling_key, 0, count[FILLING_N])
            if s.filling[0] != k:
                continue
        pop(s.filling, s.filling_key, count[FILLING_N])
        count[FILLING_N] -= 1
        s.queued[k] = 0
        if idle:
            set_level(s, k, level)
            s.aim[k] = level
            continue
        # Levels that rounding alone holds apart are made one, so that ties stay ties
        if abs(level - last) <= s.rule[SNAP] * level:
            level = last
        elif abs(level - s.level[k]) <= s.rule[SNAP] * level:
            level = s.level[k]
        last = level
        shift(s, k, level)
        if exceeded(s, k, level):
            pull(s, k)
        if count[EFFORT] > budget:
            return False
    return True


# --- filling ------------------------------------------------------------------------------------------------------------


def clear(s: State) -> None:
    """Take all flows off their capacities, and remember in `home` and `aim` where they were and at what level; `own` becomes
    the weight of the flows that have no host yet."""
    count = s.count
    for i in range(count[FILLING_N]):  # a sweep given up
        s.queued[s.filling[i]] = 0
    count[FILLING_N] = 0
    for i in range(count[NEW_N]):
        s.home[s.new[i]] = -1
    for i in range(count[USED_N]):
        k = s.used[i]
        touch(s, k)
        first = s.member_ptr[k]
        for p in range(first, first + s.hosted[k]):
            s.home[s.member[p]] = k
            s.host[s.member[p]] = -1
        s.own[k] = s.limit[k] * 0
        for p in range(first, first + s.users[k]):
            s.own[k] += s.route_coef[s.member_entry[p]]
        count[EFFORT] += 2 * s.users[k]
        s.hosted[k] = 0
        s.open[k] = s.users[k]
        s.spare[k] = s.limit[k]
        s.ceiling[k] = s.limit[k] * 0
        s.next[k] = -1
        s.aim[k] = s.level[k]
        s.level[k] = INF


def resume(s: State) -> None:
    """After filling: flows that keep their host and its level keep their bytes and end to the last bit, others count anew."""
    count, now = s.count, s.clock[NOW]
    for i in range(count[USED_N]):
        k = s.used[i]
        first = s.member_ptr[k]
        for p in range(first, first + s.hosted[k]):
            f = s.member[p]
            h = s.home[f]
            if h >= 0 and (h != k or s.aim[k] != s.level[k]):
                s.rest[f] = max(s.rest[f] - (s.served[h] + s.aim[h] * (now - s.since[h])), now * 0)
                s.home[f] = -1
    for i in range(count[USED_N]):
        k = s.used[i]
        if s.aim[k] != s.level[k]:
            if s.aim[k] < INF:
                s.full[k] += now - s.since[k]
            s.served[k] = s.limit[k] * 0
            s.since[k] = now
            s.aim[k] = s.level[k]
        if s.hosted[k] == 0:  # a count says when nothing is left, never a sum
            s.own[k] = s.limit[k] * 0
        else:
            settle_in(s, k)


def settle_in(s: State, k: int) -> None:
    """Put the flows that are new to a capacity on its count."""
    served = served_by(s, k, s.clock[NOW])
    first = s.member_ptr[k]
    anew = False
    for p in range(first, first + s.hosted[k]):
        f = s.member[p]
        anew = anew or (s.home[f] < 0 and s.size[f] < served)
    if anew:
        take_stock(s, k)
        for p in range(first, first + s.hosted[k]):
            f = s.member[p]
            if s.home[f] >= 0:
                s.rest[f] = max(s.rest[f] - served, served * 0)
        s.served[k] = s.limit[k] * 0
        served = s.served[k]
    for p in range(first, first + s.hosted[k]):
        f = s.member[p]
        if s.home[f] < 0:
            s.rest[f] += served


def fill(s: State) -> None:
    """Progressive filling: all flows rise together until a capacity is full, which holds its flows, and so on."""
    heap, key, own, spare, limit = s.filling, s.filling_key, s.own, s.spare, s.limit
    clear(s)
    n = s.count[USED_N]
    for i in range(n):
        k = s.used[i]
        heap[i] = k
        key[i] = limit[k] / own[k]
    for i in range(n // 2 - 1, -1, -1):
        sink(heap, key, i, n)
    reached = limit[0] * 0
    while n > 0:
        k = heap[0]
        if s.open[k] > 0:
            level = spare[k] / own[k] if limit[k] > 0 else limit[k]
            if level > key[0]:
                key[0] = level
                sink(heap, key, 0, n)
                continue
            # Levels never fall while filling, and levels that rounding alone holds apart are made one
            if limit[k] > 0 and level - reached <= s.rule[SNAP] * level:
                level = reached
            elif abs(level - s.aim[k]) <= s.rule[SNAP] * level:
                level = s.aim[k]
            reached = level
            fix(s, k, level)
        n -= 1
        heap[0] = heap[n]
        key[0] = key[n]
        if n > 0:
            sink(heap, key, 0, n)
    resume(s)


def fix(s: State, k: int, level: Any) -> None:
    """Capacity k is full at a level: it holds back all its flows that have no host yet."""
    ptr, ids, coef, spare, own, open_ = s.route_ptr, s.route_ids, s.route_coef, s.spare, s.own, s.open
    first = s.member_ptr[k]
    s.level[k] = level
    spare[k] -= own[k] * level
    s.count[EFFORT] += 2 * s.users[k]
    for p in range(first, first + s.users[k]):
        f = s.member[p]
        if s.host[f] >= 0:
            continue
        s.host[f] = k
        trade(s, p, first + s.hosted[k])
        s.hosted[k] += 1
        for e in range(ptr[f], ptr[f + 1]):
            m = ids[e]
            if m != k:
                spare[m] -= coef[e] * level
                own[m] -= coef[e]
                open_[m] -= 1
                s.ceiling[m] = level


# --- epochs -------------------------------------------------------------------------------------------------------------


def refresh(s: State) -> None:
    """Sum what is spare and own anew: thousands of additions and subtractions leave a trace."""
    for i in range(s.count[USED_N]):
        k = s.used[i]
        s.spare[k] = s.limit[k]
        s.own[k] = s.limit[k] * 0
        for p in range(s.member_ptr[k], s.member_ptr[k] + s.users[k]):
            host, coef = s.host[s.member[p]], s.route_coef[s.member_entry[p]]
            if host >= 0:  # it was sending before
                s.spare[k] -= coef * s.level[host]
            if host == k:
                s.own[k] += coef


def settle(s: State) -> None:
    """Find the rates after a change."""
    count = s.count
    kept = 0
    for i in range(count[AREA_N]):
        k = s.area[i]
        if s.users[k] > 0:
            s.area[kept] = k
            kept += 1
        else:
            s.inside[k] = 0
    count[AREA_N] = kept
    if kept == 0 and count[NEW_N] == 0:
        return
    if count[SENDING_N] > 0:
        count[EPOCHS] += 1
        if count[EPOCHS] % REFRESH == 0:
            refresh(s)
    count[EFFORT] = 0
    if not attempt(s):
        fill(s)
    count[NEW_N] = 0
    commit(s)
    count[WORK] += count[EFFORT] + 16


def attempt(s: State) -> bool:
    """Sweep, unless the method, many new flows or the cost speak against it; whether all rates are found."""
    count = s.count
    if count[METHOD] == FULL or (count[METHOD] == HYBRID and 4 * count[NEW_N] > count[SENDING_N]):
        return False
    for i in range(count[NEW_N]):
        adopt(s, s.new[i])
    return sweep(s, (BUDGET if count[METHOD] == HYBRID else LARGE_BUDGET) * (count[ENTRIES_N] + 16))


def commit(s: State) -> None:
    """Predict for the capacities of the area which flow finishes next, and when."""
    count, now = s.count, s.clock[NOW]
    for i in range(count[AREA_N]):
        k = s.area[i]
        s.inside[k] = 0
        if s.hosted[k] == 0:
            set_level(s, k, idle_level(s, k))
            s.aim[k] = s.level[k]
        elif s.next[k] < 0:
            find_next(s, k)
        end = now * 0 + INF
        if s.hosted[k] > 0 and s.level[k] > 0:
            end = max(s.since[k] + (s.rest[s.next[k]] - s.served[k]) / s.level[k], now)
        if end < INF:
            put(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k, end)
        else:
            drop(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k)
    count[AREA_N] = 0
    s.clock[CHANGED] = now


def find_next(s: State, k: int) -> None:
    """Find the flow with the least left among those that k holds back."""
    first = s.member_ptr[k]
    best = s.member[first]
    for p in range(first, first + s.hosted[k]):
        if s.rest[s.member[p]] < s.rest[best]:
            best = s.member[p]
    s.next[k] = best
    s.count[EFFORT] += s.hosted[k]


# --- flows come and go --------------------------------------------------------------------------------------------------


def join(s: State, f: int) -> None:
    """A flow begins to send: at rate 0 until rates are settled."""
    now, count = s.clock[NOW], s.count
    s.phase[f] = SENDING
    s.rest[f] = s.size[f]
    s.begin[f] = now
    s.host[f] = -1
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
        count[ENTRIES_N] += 1
    count[SENDING_N] += 1
    s.new[count[NEW_N]] = f
    count[NEW_N] += 1


def leave(s: State, f: int) -> None:
    """A flow stops sending."""
    count, rate = s.count, s.level[s.host[f]]
    part(s, f)
    for e in range(s.route_ptr[f], s.route_ptr[f + 1]):
        k = s.route_ids[e]
        s.users[k] -= 1
        trade(s, s.slot[e], s.member_ptr[k] + s.users[k])
        s.spare[k] += s.route_coef[e] * rate
        s.passed[k] += s.route_coef[e] * s.size[f]
        if s.users[k] == 0:
            vacate(s, k)
        elif s.level[k] < INF:
            disturb(s, k, rate)
        count[ENTRIES_N] -= 1
    count[SENDING_N] -= 1


def vacate(s: State, k: int) -> None:
    """The last flow has left a capacity."""
    now, count = s.clock[NOW], s.count
    touch(s, k)
    s.spare[k] = s.limit[k]
    s.busy[k] += now - s.busy_since[k]
    set_level(s, k, INF)
    if s.queued[k] == 0:
        s.aim[k] = INF
    s.ceiling[k] = s.limit[k] * 0
    drop(s.finishing, s.finishing_place, s.finishing_key, count, FINISHING_N, k)
    count[USED_N] -= 1
    moved = s.used[count[USED_N]]
    s.used[s.used_place[k]] = moved
    s.used_place[moved] = s.used_place[k]


def set_limit(s: State, k: int, limit: Any) -> None:
    """Change a capacity now."""
    s.spare[k] += limit - s.limit[k]
    s.limit[k] = limit
    if s.users[k] == 0:
        s.spare[k] = limit
    elif limit == 0 and s.queued[k] == 0:  # no rounding may say that something is left
        examine(s, k, limit)
    else:
        disturb(s, k, limit * 0)


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


# --- time ---------------------------------------------------------------------------------------------------------------


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
    return near + s.rule[MERGE] * (now - s.begin[s.next[k]])


def collect(s: State) -> None:
    """Gather the flows whose bytes leave now."""
    horizon = due(s)
    while s.count[FINISHING_N] > 0 and s.finishing_key[s.finishing[0]] <= horizon:
        k = s.finishing[0]
        first = s.member_ptr[k]
        # The next of its queue is due in any case, whatever rounding says
        sent = max(served_by(s, k, horizon), s.rest[s.next[k]])
        s.count[WORK] += s.hosted[k]
        for p in range(first, first + s.hosted[k]):
            f = s.member[p]
            if s.rest[f] <= sent:
                s.phase[f] = LEAVING
                conclude_later(s, f)
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
        s.since[k] += rounds * (sending + delay)
        if s.level[k] < INF:
            s.full[k] += rounds * sending
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
        s.since[k] -= whole
        if s.finishing_place[k] >= 0:
            s.finishing_key[k] -= whole
        for p in range(s.member_ptr[k], s.member_ptr[k] + s.users[k]):
            f = s.member[p]
            if s.member_entry[p] == s.route_ptr[f]:  # each flow once: with its first capacity
                s.begin[f] -= whole


def tally(s: State) -> None:
    """Sum up what each capacity has carried by now."""
    now = s.clock[NOW]
    for k in range(len(s.limit)):
        carried = s.passed[k]
        for p in range(s.member_ptr[k], s.member_ptr[k] + s.users[k]):
            f = s.member[p]
            rest = max(s.rest[f] - served_by(s, s.host[f], now), now * 0)
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
