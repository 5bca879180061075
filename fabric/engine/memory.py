"""What a run needs of memory, and what there is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import RunError
from .flows import Flows

BYTES_PER_FLOW, BYTES_PER_ENTRY, BYTES_PER_WAIT, BYTES_PER_CAPACITY = 240, 40, 12, 240
# Of a control group, in its second and its first version: its folder, what it may have, what it has, and what of that is
# cache of files that goes when memory is wanted (Linux, Documentation/admin-guide/cgroup-v2 and cgroup-v1/memory)
GROUPS = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", "inactive_file"),
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def check_memory(flows: Flows) -> None:
    """Refuse, with the numbers, a run that cannot fit into the memory that is free."""
    need = (
        BYTES_PER_FLOW * len(flows.bytes)
        + BYTES_PER_ENTRY * len(flows.route_ids)
        + BYTES_PER_WAIT * len(flows.wait_ids)
        + BYTES_PER_CAPACITY * len(flows.capacity)
    )
    free = free_memory()
    if need > free:
        raise RunError(
            f"{len(flows.bytes):,} flows with {len(flows.route_ids):,} route entries need about "
            f"{need / 2**30:.1f} GiB; {free / 2**30:.1f} GiB of memory are free"
        )


def free_memory() -> float:
    """Bytes that this process can still have, by the machine, its control group and its own limit; inf where none tells."""
    return max(0.0, min(_of_machine(), *(_of_group(*group) for group in GROUPS), _of_process()))


def _of_machine() -> float:
    try:
        return _table(Path("/proc/meminfo"))["MemAvailable:"] * 1024
    except (OSError, KeyError):
        try:
            return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (AttributeError, ValueError, OSError):
            return np.inf


def _of_group(folder: Path, limit: str, used: str, cache: str) -> float:
    try:
        most = float((folder / limit).read_text())  # "max" where there is none
        return most - float((folder / used).read_text()) + _table(folder / "memory.stat").get(cache, 0.0)
    except (OSError, ValueError):
        return np.inf


def _of_process() -> float:
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        return np.inf if limit == resource.RLIM_INFINITY else limit - pages * resource.getpagesize()
    except (ImportError, OSError, ValueError):
        return np.inf


def _table(path: Path) -> dict[str, float]:
    """The lines of a file, a name and a number each."""
    lines = (line.split() for line in path.read_text().splitlines())
    return {words[0]: float(words[1]) for words in lines if len(words) > 1}
