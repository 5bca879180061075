"""Flow cases made here, as dictionaries of the arrays that fabric.flow_cases reads."""

from __future__ import annotations

from typing import Any

import numpy as np

Case = dict[str, Any]


def unequal_exchange(ports: int) -> Case:
    """All-to-all over one switch: lognormal sizes of median 1 MiB and sigma 1, 1 TB/s and 300 ns per link."""
    drawn = np.random.default_rng(600 + ports).lognormal(np.log(2.0**20), 1.0, (ports, ports))
    source, target = (index.ravel() for index in np.indices((ports, ports), dtype=np.int32))
    apart = source != target
    source, target = source[apart], target[apart]
    ends = np.arange(ports, dtype=np.int32)
    hub = np.full(ports, ports, np.int32)
    return {
        "link_src": np.concatenate([ends, hub]),
        "link_dst": np.concatenate([hub, ends]),
        "link_bw": np.full(2 * ports, 1e12),
        "link_lat": np.full(2 * ports, 300e-9),
        "flow_bytes": np.maximum(drawn.ravel()[apart].astype(np.int64), 1),
        **_flows(source, target, np.stack([source, ports + target], 1)),
        **_waits(np.zeros(len(source) + 1, np.int64), np.zeros(0, np.int32)),
    }


def ring_all_reduce(ranks: int, size: float = 2.0**30) -> Case:
    """Every transfer of a ring AllReduce: 2 (n - 1) steps of n transfers of size / n bytes over 100 GB/s and 1 us.

    The transfer of rank r in a step waits for the one before it on the same link and for the chunk that it passes on.
    """
    steps = 2 * (ranks - 1)
    rank = np.tile(np.arange(ranks, dtype=np.int32), steps)
    count = len(rank)
    before = np.arange(count - ranks, dtype=np.int32).reshape(steps - 1, ranks)
    waits = np.stack([np.roll(before, 1, axis=1), before], 2).ravel()
    ptr = np.concatenate([np.zeros(ranks, np.int64), 2 * np.arange(count - ranks + 1)])
    ends = np.arange(ranks, dtype=np.int32)
    return {
        "link_src": ends,
        "link_dst": np.roll(ends, -1),
        "link_bw": np.full(ranks, 100e9),
        "link_lat": np.full(ranks, 1e-6),
        "flow_bytes": np.full(count, int(size / ranks)),
        **_flows(rank, (rank + 1) % ranks, rank[:, None]),
        **_waits(ptr, waits),
        "flow_phase": np.repeat(np.arange(steps, dtype=np.int32), ranks),
    }


def _flows(source: Any, target: Any, routes: Any) -> Case:
    count, hops = routes.shape
    return {
        "flow_src": source,
        "flow_dst": target,
        "flow_start": np.zeros(count),
        "route_ptr": np.arange(count + 1, dtype=np.int64) * hops,
        "route_links": routes.astype(np.int32).ravel(),
    }


def _waits(ptr: Any, ids: Any) -> Case:
    return {"dep_ptr": ptr, "dep_ids": ids}
