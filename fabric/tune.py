"""Which algorithm is fastest at which size on a fabric, and where one takes over from another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from .case_run import CaseRun, Progress
from .collectives import canonical
from .errors import InputError
from .result import Result
from .runner import one_case
from .units import format_bandwidth, format_size, format_time

CLOSE = 1.01  # a crossover is known when the sizes on its two sides are this near

# What the tuner plugin of NCCL can be told: its names of the collectives, and of each the algorithms that NCCL has for it, by
# ours. Its broadcast and reduce "ring" is a pipelined chain.
NCCL_COLLECTIVES = {
    "all_reduce": "allreduce",
    "all_gather": "allgather",
    "reduce_scatter": "reducescatter",
    "broadcast": "broadcast",
    "reduce": "reduce",
}
NCCL_ALGORITHMS = {
    "all_reduce": {"ring": "ring", "double_tree": "tree"},
    "all_gather": {"ring": "ring", "pat": "pat"},
    "reduce_scatter": {"ring": "ring", "pat": "pat"},
    "broadcast": {"chain": "ring"},
    "reduce": {"chain": "ring"},
}
NCCL_COLUMNS = "collective_type,min_bytes,max_bytes,algorithm,protocol,channels,nNodes,nRanks,numPipeOps,regBuff"


@dataclass(frozen=True)
class Range:
    """Sizes [first, last) in bytes and the algorithm that is fastest on them, as `Result.label` has it, with its rows at
    both ends."""

    first: float
    last: float
    algorithm: str
    at_first: Result
    at_last: Result


@dataclass(frozen=True)
class Tuning:
    """The ranges of a collective on a fabric, and a row for every algorithm at every size asked for."""

    collective: str
    topology: str
    ranks: int
    servers: int
    ranges: tuple[Range, ...]
    rows: tuple[Result, ...]


def tune(
    topology: str, collective: str, sizes: str, overrides: Sequence[str] = (), progress: Progress = lambda text: None
) -> Tuning:
    """Compare every algorithm that applies over a range of sizes and find the crossovers between its smallest and largest.

    topology: a builder or a file. overrides: `key=value` of its parameters. Raises InputError as a scenario file does.
    """
    if canonical(collective) == "all_to_all_v":
        raise InputError("tune compares algorithms over sizes, and all_to_all_v has its own")
    case = {"collective": collective, "algorithm": "all", "sizes": sizes}
    scenario = one_case(topology, topology, case, [f"topology.{one}" for one in overrides])
    run = CaseRun(scenario, 0, progress)
    found = {}
    for size in sorted(set(scenario.cases[0].sizes or [])):
        progress(f"{topology}: {format_size(size)}")
        found[size] = run.fastest(size)
    if len(found) < 2:
        raise InputError(f"{topology}: a tuning needs at least two sizes, such as '1 KiB..1 GiB x4', not {sizes!r}")
    rows = tuple(row for size in found for row in run.every(size))
    graph = run.network.graph.graph
    return Tuning(
        scenario.cases[0].collective,
        str(graph.get("name", topology)),
        len(run.groups[0]),
        int(graph.get("servers", 1)),
        tuple(_ranges(run.fastest, found)),
        rows,
    )


def _ranges(fastest: Callable[[float], Result], found: dict[float, Result]) -> Iterator[Range]:
    """The ranges between the smallest and the largest size."""
    sizes = list(found)
    first, start = sizes[0], found[sizes[0]]
    for low, high in pairwise(sizes):
        for before, after in _crossovers(fastest, found[low], found[high]):
            yield Range(first, after.size, start.label, start, before)
            first, start = after.size, after
    yield Range(first, sizes[-1], start.label, start, found[sizes[-1]])


def _crossovers(fastest: Callable[[float], Result], low: Result, high: Result) -> Iterator[tuple[Result, Result]]:
    """Neighbouring rows of different algorithms between two sizes, by halving where the ends differ."""
    if low.label == high.label:
        return
    if high.size <= low.size * CLOSE or high.size - low.size <= 1:
        yield low, high
        return
    middle = fastest(float(round(sqrt(low.size * high.size))))
    yield from _crossovers(fastest, low, middle)
    yield from _crossovers(fastest, middle, high)


def text(tuning: Tuning) -> str:
    """The ranges as the command prints them."""
    lines = [f"# fastest {tuning.collective} on {tuning.ranks} ranks of {tuning.topology}"]
    rows = [("from", "to", "algorithm", "time there", "busbw there", "gap")]
    for one in tuning.ranges:
        there = one.at_last
        bandwidth, gap = format_bandwidth(round(there.busbw, -7)), f"{there.gap:.3f}"
        rows.append((size_text(one.first), size_text(one.last), one.algorithm, format_time(there.time), bandwidth, gap))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
    return "\n".join(lines) + "\n"


def size_text(size: float) -> str:
    """A size to three digits: crossovers are known to one part in a hundred.

    >>> size_text(1500000), size_text(65536)
    ('1.43 MiB', '64 KiB')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}" if size < 1000 * factor else f"{size / factor:.0f} {unit}"
    return f"{size:.0f} B"


def nccl_csv(tuning: Tuning) -> str:
    """The file of NCCL's tuner plugin: the fastest among the algorithms that NCCL has.

    Raises InputError for a collective that its tuner does not know, or where none of its algorithms applies.
    """
    if tuning.collective not in NCCL_COLLECTIVES:
        known = ", ".join(NCCL_COLLECTIVES)
        raise InputError(f"NCCL's tuner knows no {tuning.collective}; it knows {known}")
    names = dict(NCCL_ALGORITHMS[tuning.collective])
    if tuning.ranks > tuning.servers:
        names.pop("pat", None)  # NCCL uses it only with one rank in each machine
    best: list[tuple[float, str]] = []
    for size in sorted({row.size for row in tuning.rows}):
        mine = [row for row in tuning.rows if row.size == size and row.algorithm in names]
        if not mine:
            raise InputError(f"none of NCCL's algorithms ({', '.join(names)}) applies to {tuning.topology}")
        best.append((size, names[min(mine, key=lambda row: row.time).algorithm]))
    lines = [NCCL_COLUMNS]
    first = 0
    for (size, name), (_, following) in zip(best, [*best[1:], (0.0, "")]):
        if name != following:
            last = int(size) if following else 2**63 - 1
            where = f"{tuning.servers},{tuning.ranks},-1,-1"
            lines.append(f"{NCCL_COLLECTIVES[tuning.collective]},{first},{last},{name},simple,-1,{where}")
            first = last + 1
    return "\n".join(lines) + "\n"
