"""Routes: which links a pair of ranks uses, and which part of the traffic goes over each.

A rule is a function (network, sources, destinations) -> Routes, vectorised over the pairs. Sprayed traffic is one route
with fractional coefficients: the fraction of the bytes that a link carries.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .csr import pointers, ranges
from .errors import InputError, unknown
from .network import Network
from .schedule import FAR, NEAR, OWN

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

TIES = ("split", "positive")


@dataclass(frozen=True)
class Rule:
    """A routing rule by name; "default" is the one that the topology declares.

    ties: what dimension order does at distance k/2 of an even ring: "split" half and half, or all the "positive" way.
    seed: of the hash that `ecmp` takes for a choice among equal-cost next hops.
    """

    name: str = "default"
    ties: str = "split"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Routes:
    """P routes. ptr [P + 1], links and share: CSR of link ids and the fraction of the bytes that each carries.

    latency: [P] s, the largest over sprayed routes. efa: [P] whether the route crosses a NIC.
    """

    ptr: I64
    links: I64
    share: F64
    latency: F64
    efa: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class _Hops:
    """Unsorted hops (pair, link, share) and the latency of each pair; a link of -1 does not exist."""

    pair: I64
    link: I64
    share: F64
    latency: F64


def find_routes(network: Network, sources: I64, destinations: I64, rule: Rule | None = None) -> Routes:
    """The routes of P pairs of nodes under a rule. Raises InputError naming pairs that have none."""
    rule = rule or Rule()
    name = network.graph.graph.get("routing", "shortest") if rule.name == "default" else rule.name
    if name not in RULES:
        raise InputError(unknown("routing", name, list(RULES)))
    if network.pods and name != "cluster":
        raise InputError(
            f"routing {name} does not serve a folded cluster, whose routes are alike: take the default, or fold: false"
        )
    if not network.links:
        _refuse(network, [(u, v) for u, v in zip(sources.tolist(), destinations.tolist()) if u != v])
    hops = _detour(network, sources, destinations, RULES[name](network, sources, destinations, rule))
    order = np.argsort(hops.pair, kind="stable")
    ptr = pointers(np.bincount(hops.pair, minlength=len(sources)))
    links = hops.link[order]
    efa = np.zeros(len(sources), dtype=bool)
    efa[hops.pair[network.crosses_nic[hops.link]]] = True
    return Routes(ptr, links, hops.share[order], hops.latency, efa)


def _detour(network: Network, sources: I64, destinations: I64, hops: _Hops) -> _Hops:
    """Pairs whose ruled route misses a link (a cable that is down) take the shortest route instead."""
    broken = np.unique(hops.pair[hops.link < 0])
    if not len(broken):
        return hops
    kept = ~np.isin(hops.pair, broken)
    other = _shortest(network, sources[broken], destinations[broken], Rule())
    latency = hops.latency.copy()
    latency[broken] = other.latency
    return _Hops(
        np.concatenate((hops.pair[kept], broken[other.pair])),
        np.concatenate((hops.link[kept], other.link)),
        np.concatenate((hops.share[kept], other.share)),
        latency,
    )


# --- tori ---------------------------------------------------------------------------------------------------------------


def _dimension_order(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """One dimension after another, the shorter way round; the first dimension of `dims` first."""
    attributes = network.graph.graph
    if "dims" not in attributes or attributes.get("shape") not in ("torus", "mesh", "ring", "hypercube"):
        raise InputError(f"dimension_order routes on tori and meshes; {attributes.get('name', 'this graph')} is neither")
    return _torus_hops(network, sources, destinations, tuple(attributes["dims"]), attributes["shape"] != "mesh", rule)


def _torus_hops(
    network: Network, sources: I64, destinations: I64, dims: tuple[int, ...], wrap: bool, rule: Rule, base: I64 | int = 0
) -> _Hops:
    """Dimension order between nodes base + 0..prod(dims)-1, rank numbers running fastest along the first dimension."""
    pairs, links, shares = [], [], []
    latency = np.zeros(len(sources))
    here, there, stride = sources - base, destinations - base, 1
    for size in dims:
        start, goal = here // stride % size, there // stride % size
        ahead, back = ((goal - start) % size, (start - goal) % size) if wrap else (goal - start, start - goal)
        tie = (ahead == back) & (ahead > 0) & (size > 2) if wrap else np.zeros(len(here), dtype=bool)
        split = tie & (rule.ties == "split")
        forward = (ahead > 0) & ((ahead < back) | tie | (size == 2)) if wrap else ahead > 0
        backward = (back > 0) & ((back < ahead) & (size > 2) | split) if wrap else back > 0
        longest = np.zeros(len(here))
        for mask, distance, sign in ((forward, ahead, 1), (backward, back, -1)):
            leg = np.zeros(len(here))
            for hop in range(int(distance[mask].max(initial=0))):
                pair = np.flatnonzero(mask & (distance > hop))
                at = (start[pair] + sign * hop) % size
                node = here[pair] + (at - start[pair]) * stride
                after = node + ((at + sign) % size - at) * stride
                offset = base[pair] if isinstance(base, np.ndarray) else base
                link = network.link_ids(node + offset, after + offset)
                pairs.append(pair)
                links.append(link)
                shares.append(np.where(split[pair], 0.5, 1.0))
                leg[pair] += network.latency[link]
            longest = np.maximum(longest, leg)
        latency += longest
        here = here + (goal - start) * stride
        stride *= size
    return _join(pairs, links, shares, latency)


# --- Trainium3 ----------------------------------------------------------------------------------------------------------


def _trn3(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """Same sled through its switch (a tray-mate directly), same rack through the rack switch, another rack over the direct
    link and one leg inside a rack: at the destination, at the source, or half each (`leg` of the graph)."""
    if not {"sled", "tray", "rack", "cross-rack", "switch"} & set(network.tiers):
        name = network.graph.graph.get("name", "this graph")
        raise InputError(f"the trn3 rule routes over the tiers of Trn3 machines; {name} has none of them")
    rack = np.array([network.graph.nodes[node].get("rack", 0) for node in range(network.ranks)], dtype=np.int64)
    mate = _neighbour(network, "cross-rack")
    leg = network.graph.graph.get("leg", "destination")
    inside = np.flatnonzero(rack[sources] == rack[destinations])
    across = np.flatnonzero(rack[sources] != rack[destinations])
    pairs, links, shares = [], [], []
    latency = np.zeros(len(sources))

    def walk(pair: I64, nodes: list[tuple[I64, I64]], share: float) -> None:
        total = np.zeros(len(pair))
        for u, v in nodes:
            moved = u != v
            link = network.link_ids(u, v)
            pairs.append(pair[moved])
            links.append(link[moved])
            shares.append(np.full(int(moved.sum()), share))
            total += np.where(moved, network.latency[link], 0.0)
        latency[pair] = np.maximum(latency[pair], total)

    walk(inside, _in_rack(network, sources[inside], destinations[inside]), 1.0)
    a, b = sources[across], destinations[across]
    share = 0.5 if leg == "split" else 1.0
    if leg in ("destination", "split"):
        walk(across, [(a, mate[a]), *_in_rack(network, mate[a], b)], share)
    if leg in ("source", "split"):
        walk(across, [*_in_rack(network, a, mate[b]), (mate[b], b)], share)
    return _join(pairs, links, shares, latency)


def _in_rack(network: Network, a: I64, b: I64) -> list[tuple[I64, I64]]:
    """The two hops of a leg inside a rack as (from, to) node arrays; a hop from a node to itself is none."""
    sled, rack = _neighbour(network, "sled"), _neighbour(network, "rack")
    rack = np.where(rack < 0, _neighbour(network, "switch"), rack)
    direct = (a == b) | (_neighbour(network, "tray")[a] == b)
    same = (sled[a] >= 0) & (sled[a] == sled[b])
    middle = np.where(direct, b, np.where(same, sled[a], rack[a]))
    return [(a, middle), (middle, b)]


def _neighbour(network: Network, tier: str) -> I64:
    """[nodes] the node that each is joined to by a link of a tier (the first where there are several); -1 for none."""
    out = np.full(network.nodes, -1, dtype=np.int64)
    if tier in network.tiers:
        mine = np.flatnonzero(network.tier[: network.links] == network.tiers.index(tier))[::-1]
        out[network.source[mine]] = network.destination[mine]
    return out


# --- any graph ----------------------------------------------------------------------------------------------------------


def _shortest(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """The route of the fewest links; among equals the one that keeps to the lowest node numbers."""
    return _walks(network, sources, destinations, lambda node, hops, source, destination: hops[0])


def _ecmp(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """One route among the equal-cost ones: every node picks a next hop by a seeded hash of the pair."""

    def choose(node: int, hops: list[int], source: int, destination: int) -> int:
        return hops[_hash(rule.seed, source, destination, node) % len(hops)]

    return _walks(network, sources, destinations, choose)


def _walks(network: Network, sources: I64, destinations: I64, choose: Callable[[int, list[int], int, int], int]) -> _Hops:
    """Walk every pair over shortest-route next hops, one of which `choose` takes at each node."""
    pairs: list[int] = []
    nodes: list[tuple[int, int]] = []
    downhill = _Downhill(network)
    missing: list[tuple[int, int]] = []
    for pair, (source, destination) in enumerate(zip(sources.tolist(), destinations.tolist())):
        distance = downhill.distance(destination)
        if distance[source] < 0:
            missing.append((source, destination))
            continue
        node = source
        while node != destination:
            after = choose(node, downhill.next_hops(node, destination), source, destination)
            pairs.append(pair)
            nodes.append((node, after))
            node = after
    _refuse(network, missing)
    hops = np.array(nodes, dtype=np.int64).reshape(-1, 2)
    link, pair_ids = network.link_ids(hops[:, 0], hops[:, 1]), np.array(pairs, dtype=np.int64)
    latency = np.asarray(np.bincount(pair_ids, weights=network.latency[link], minlength=len(sources)), dtype=np.float64)
    return _Hops(pair_ids, link, np.ones(len(link)), latency)


def _spray(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """Over all equal-cost routes at once: every node splits evenly over its next hops (EFA's SRD sprays over many paths).

    Pairs whose ends hang on the same switches share the middle of their routes, which is worked out once.
    """
    downhill = _Downhill(network)
    alike: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for pair, (source, destination) in enumerate(zip(sources.tolist(), destinations.tolist())):
        alike.setdefault((downhill.switches(source), downhill.switches(destination)), []).append(pair)
    groups = [np.array(members, dtype=np.int64) for members in alike.values()]
    pairs, links, shares = [], [], []
    latency = np.zeros(len(sources))
    missing: list[tuple[int, int]] = []
    while groups:
        index = groups.pop()
        source, destination = int(sources[index[0]]), int(destinations[index[0]])
        hops = downhill.split(source, destination)
        if hops is None:
            missing.append((source, destination))
            continue
        u, v, share = hops
        between = np.setdiff1d(np.concatenate((u, v)), (source, destination))
        if len(index) > 1 and not downhill.is_switch[between].all():
            groups.extend(np.split(index, len(index)))  # a route over chips: nothing to share
            continue
        # The representative's own ends give way to those of each pair.
        start = np.where(u[None, :] == source, sources[index][:, None], u[None, :])
        end = np.where(v[None, :] == destination, destinations[index][:, None], v[None, :])
        link = network.link_ids(start.ravel(), end.ravel())
        pairs.append(np.repeat(index, len(u)))
        links.append(link)
        shares.append(np.tile(share, len(index)))
        latency[index] = _longest(u.tolist(), v.tolist(), network.latency[link].reshape(start.shape), source, destination)
    _refuse(network, missing)
    return _join(pairs, links, shares, latency)


def _longest(start: list[int], end: list[int], latency: F64, source: int, destination: int) -> F64:
    """[pairs] the largest latency over the routes of one shape; hops stand in the order in which bytes meet them.

    latency: [pairs, hops].
    """
    reached = {source: np.zeros(len(latency))}
    for hop, (u, v) in enumerate(zip(start, end)):
        reached[v] = np.maximum(reached.get(v, 0.0), reached[u] + latency[:, hop])
    return reached[destination]


class _Downhill:
    """Hop distances to a destination and the next hops that bring nearer to it, kept for the destinations asked for."""

    def __init__(self, network: Network) -> None:
        self._ahead: list[list[int]] = [[] for _ in range(network.nodes)]
        self._behind: list[list[int]] = [[] for _ in range(network.nodes)]
        for u, v in zip(network.source.tolist(), network.destination.tolist()):
            self._ahead[u].append(v)
            self._behind[v].append(u)
        self.is_switch = np.array([kind == "switch" for kind in network.kind])
        self._distance: dict[int, list[int]] = {}

    def distance(self, destination: int) -> list[int]:
        """[N] links from each node to the destination; -1 where it cannot be reached."""
        if destination not in self._distance:
            found = [-1] * len(self._ahead)
            found[destination] = 0
            queue = deque([destination])
            while queue:
                node = queue.popleft()
                for before in self._behind[node]:
                    if found[before] < 0:
                        found[before] = found[node] + 1
                        queue.append(before)
            self._distance[destination] = found
        return self._distance[destination]

    def next_hops(self, node: int, destination: int) -> list[int]:
        """The neighbours one link nearer to the destination, in ascending order."""
        distance = self.distance(destination)
        return [after for after in self._ahead[node] if distance[after] == distance[node] - 1]

    def switches(self, node: int) -> tuple[int, ...]:
        """The switches that a node hangs on; the node itself, as -1 - node, where there are none."""
        return tuple(after for after in self._ahead[node] if self.is_switch[after]) or (-1 - node,)

    def split(self, source: int, destination: int) -> tuple[I64, I64, F64] | None:
        """All shortest routes as hops (from, to, share), in the order in which bytes meet them; None if there is none."""
        if self.distance(destination)[source] < 0:
            return None
        carried = {source: 1.0}
        hops: list[tuple[int, int]] = []
        shares: list[float] = []
        while source != destination and list(carried) != [destination]:
            further: dict[int, float] = {}
            for node, share in carried.items():
                after = self.next_hops(node, destination)
                for hop in after:
                    hops.append((node, hop))
                    shares.append(share / len(after))
                    further[hop] = further.get(hop, 0.0) + share / len(after)
            carried = further
        array = np.array(hops, dtype=np.int64).reshape(-1, 2)
        return array[:, 0], array[:, 1], np.array(shares)


def _hash(*words: int) -> int:
    """A 64-bit mix of integers (the finaliser of splitmix64), the same on every machine and in every run."""
    mixed = 0
    for word in words:
        mixed = (mixed + word + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 31
    return mixed


# --- clusters -----------------------------------------------------------------------------------------------------------


def _cluster(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """Inside a machine by its own rule; between machines from the chip to its NIC, sprayed over the cluster's switches to
    the NIC of the other chip, and in. With rule "ecmp" one of the equal-cost routes instead."""
    attributes = network.graph.graph
    if attributes.get("shape") != "cluster":
        raise InputError(f"the cluster rule routes on clusters of machines; {attributes.get('name', 'this graph')} is none")
    if network.pods:
        return _folded(network, sources, destinations, rule)
    each = network.ranks // int(attributes["servers"])
    server = sources // each
    inside = np.flatnonzero(server == destinations // each)
    across = np.flatnonzero(server != destinations // each)
    near = _within(network, sources[inside], destinations[inside], server[inside] * each, rule)
    nic = _neighbour(network, "nic")
    out, back = nic[sources[across]], nic[destinations[across]]
    between = (_ecmp if rule.name == "ecmp" else _spray)(network, out, back, rule)
    first, last = network.link_ids(sources[across], out), network.link_ids(back, destinations[across])
    latency = np.zeros(len(sources))
    latency[inside] = near.latency
    latency[across] = network.latency[first] + between.latency + network.latency[last]
    return _Hops(
        np.concatenate((inside[near.pair], across, across[between.pair], across)),
        np.concatenate((near.link, first, between.link, last)),
        np.concatenate((near.share, np.ones(len(first)), between.share, np.ones(len(last)))),
        latency,
    )


def _folded(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """Between the machines of a folded cluster and their images: up from the chip to its leaf, or to the spine for a far
    one, and down to the chip of the other place; every switch splits evenly. Image numbers as in `route_traffic`."""
    each = int(network.graph.graph["machine_ranks"])
    image, place = np.divmod(destinations, network.ranks)
    machine, other = sources // each, place // each
    apart = np.where(machine % network.pods == other % network.pods, NEAR, FAR)
    image = np.where((image == OWN) & (machine != other), apart, image)
    own = np.flatnonzero(image == OWN)
    hops = _within(network, sources[own], destinations[own], machine[own] * each, rule)
    pairs, links, shares = [own[hops.pair]], [hops.link], [hops.share]
    latency = np.zeros(len(sources))
    latency[own] = hops.latency
    ranks = np.arange(network.ranks)
    for where, tier in ((NEAR, "leaf"), (FAR, "spine")):
        across = np.flatnonzero(image == where)
        if not len(across):
            continue
        tops = np.array([node for node in range(network.nodes) if network.graph.nodes[node].get("tier") == tier])
        up = _spray(network, ranks, tops[ranks // each % len(tops)], rule)
        order = np.argsort(up.pair, kind="stable")
        ptr, climb, share = pointers(np.bincount(up.pair, minlength=network.ranks)), up.link[order], up.share[order]
        descent = network.link_ids(network.destination[climb], network.source[climb])
        for rank, way in ((sources[across], climb), (place[across], descent)):
            taken = ranges(ptr[rank], ptr[rank + 1])
            pairs.append(np.repeat(across, np.diff(ptr)[rank]))
            links.append(way[taken])
            shares.append(share[taken])
            latency[across] += up.latency[rank]
    return _join(pairs, links, shares, latency)


def _within(network: Network, sources: I64, destinations: I64, base: I64, rule: Rule) -> _Hops:
    """Routes inside the machines of a cluster; `base` is the first rank of each pair's machine."""
    attributes = network.graph.graph
    inner = attributes["machine_routing"]
    if inner == "dimension_order":
        wrap = attributes["machine_shape"] != "mesh"
        return _torus_hops(network, sources, destinations, tuple(attributes["machine_dims"]), wrap, rule, base)
    return RULES[inner](network, sources, destinations, rule)


def _cores(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """From a core to its chip, between the chips by their own rule, and to the other core."""
    attributes = network.graph.graph
    if attributes.get("shape") != "cores":
        raise InputError(f"the cores rule routes between the cores of chips; {attributes.get('name', 'this graph')} has none")
    out, back = (ends // int(attributes["cores_per_chip"]) for ends in (sources, destinations))
    chips = "ecmp" if rule.name == "ecmp" else attributes["chip_routing"]
    between = RULES[chips](network.chips, out, back, rule)
    link = np.where(between.link < 0, -1, network.chip_links[between.link])
    up = network.link_ids(sources, out + network.ranks)
    down = network.link_ids(back + network.ranks, destinations)
    pairs, ones = np.arange(len(sources)), np.ones(len(sources))
    latency = network.latency[up] + between.latency + network.latency[down]
    return _join([pairs, between.pair, pairs], [up, link, down], [ones, between.share, ones], latency)


def _hashed(network: Network, sources: I64, destinations: I64, rule: Rule) -> _Hops:
    """On a cluster the hash chooses among the switches between the machines; elsewhere on the whole graph."""
    attributes = network.graph.graph
    if attributes.get("chip_shape") == "cluster":
        return _cores(network, sources, destinations, rule)
    return (_cluster if attributes.get("shape") == "cluster" else _ecmp)(network, sources, destinations, rule)


RULES: dict[str, Callable[[Network, I64, I64, Rule], _Hops]] = {
    "dimension_order": _dimension_order,
    "trn3": _trn3,
    "shortest": _shortest,
    "spray": _spray,
    "ecmp": _hashed,
    "cluster": _cluster,
    "cores": _cores,
}


def _join(pairs: list[I64], links: list[I64], shares: list[F64], latency: F64) -> _Hops:
    none = np.empty(0, dtype=np.int64)
    return _Hops(
        np.concatenate([none, *pairs]), np.concatenate([none, *links]), np.concatenate([np.empty(0), *shares]), latency
    )


def _refuse(network: Network, missing: list[tuple[int, int]]) -> None:
    """Raise if there are pairs without a route, naming the first few."""
    if missing:
        shown = ", ".join(f"{network.node_names[u]} -> {network.node_names[v]}" for u, v in missing[:5])
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"no route: {shown}{more}")
