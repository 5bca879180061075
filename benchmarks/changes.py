"""How many fair rates really change when a flow finishes: `python -m benchmarks.changes CASE.npz ANSWER.npz [--events N]`.

Independent of the engine: ANSWER.npz holds the finish (s) of every flow, which says who is sending just before and just
after a completion; both sets are filled from scratch and compared. Prints for N completions, spread over the run, how many
flows send on and how many of their rates change by more than 1e-9, 1e-6 and 1e-3.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from fabric.engine import Flows
from fabric.flow_cases import read_case

CHANGES = (1e-9, 1e-6, 1e-3)


def fair_rates(flows: Flows, sending: Any) -> Any:
    """Progressive filling: in each round every capacity that is the tightest of all its flows is filled."""
    owner = np.repeat(np.arange(len(sending)), np.diff(flows.route_ptr))
    owner, ids = owner[sending[owner]], flows.route_ids[sending[owner]]
    left, rate, open_ = flows.capacity.copy(), np.zeros(len(sending)), sending.copy()
    while open_.any():
        live = open_[owner]
        flow, on = owner[live], ids[live]
        users = np.bincount(on, minlength=len(left))
        share = np.where(users > 0, left / np.maximum(users, 1), np.inf)
        least = np.full(len(sending), np.inf)
        np.minimum.at(least, flow, share[on])
        tightest = np.full(len(left), np.inf)
        np.minimum.at(tightest, on, least[flow])
        full = share <= tightest * (1 + 1e-13)
        fixed = np.zeros(len(sending), bool)
        fixed[flow[full[on]]] = True
        rate[fixed] = least[fixed]
        taken = fixed[flow]
        left -= np.bincount(on[taken], rate[flow[taken]], len(left))
        open_ &= ~fixed
    return rate


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("answer")
    parser.add_argument("--events", type=int, default=50)
    given = parser.parse_args()
    flows = read_case(given.case)
    finish = np.load(given.answer)["finish"]
    begin = flows.start + flows.delay  # of flows that wait for none
    order = np.argsort(finish)
    rows = []
    for at in np.linspace(0.02 * len(order), 0.98 * len(order), given.events).astype(int):
        now = finish[order[at]]
        ends = np.abs(finish - now) <= 1e-12 * now
        after = (begin < now) & (finish > now) & ~ends
        before = fair_rates(flows, after | ends)[after]
        change = np.abs(fair_rates(flows, after)[after] - before) / before
        rows.append([int(after.sum()), *(int((change > least).sum()) for least in CHANGES)])
        print(f"completion {at:6}: {rows[-1][0]:6} sending, changed " + " / ".join(f"{n:5}" for n in rows[-1][1:]), flush=True)
    print("mean   " + "  ".join(f"{value:.0f}" for value in np.mean(rows, axis=0)))
    print("median " + "  ".join(f"{value:.0f}" for value in np.median(rows, axis=0)))


if __name__ == "__main__":
    main()
