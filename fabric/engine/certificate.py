"""Certify an allocation: nothing over-full, and every flow with a reason not to be faster."""

from __future__ import annotations

import numpy as np

from ..errors import InternalError
from . import kernel, state
from .flows import Flows
from .kernel import State

ROUNDING = 1e-9  # relative; wide against rounding, narrow against any error of the method


def certify(flows: Flows, columns: State, tolerance: float) -> None:
    """Raise InternalError unless the rates of the flows now sending are max-min fair.

    That is so exactly when no capacity carries more than it has and every flow is at its own cap or uses a full
    capacity on which no flow is faster (Bertsekas and Gallager, Data Networks, section 6.5.2). Reads rates and
    capacities only, nothing of how they were found.
    """
    near = max(tolerance, ROUNDING)
    limit, rate = state.column(columns, "limit")[: len(flows.capacity)], state.rates(columns)
    sending = state.column(columns, "phase") == kernel.SENDING
    owner = np.repeat(np.arange(len(flows.bytes)), np.diff(flows.route_ptr))
    live = sending[owner]
    owner, ids, coef = owner[live], flows.route_ids[live], flows.route_coef[live]
    load = np.bincount(ids, coef * rate[owner], len(limit))
    over = np.flatnonzero(load > limit * (1 + near))
    if len(over):
        raise InternalError(f"capacity {over[0]} carries {load[over[0]]:.17g} of {limit[over[0]]:.17g} bytes/s")
    fastest = np.zeros(len(limit))
    np.maximum.at(fastest, ids, rate[owner])
    reason = (load[ids] >= limit[ids] * (1 - near)) & (rate[owner] >= fastest[ids] * (1 - ROUNDING))
    held = rate >= flows.flow_cap * (1 - ROUNDING)
    held[owner[reason]] = True
    free = np.flatnonzero(sending & ~held)
    if len(free):
        raise InternalError(f"flow {free[0]} could be faster than {rate[free[0]]:.17g} bytes/s")
