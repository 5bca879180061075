"""fabricsim: how long a collective takes on a fabric, which link holds it back, and how far that is from the best possible.

    run("trn2-allreduce")              a scenario, by name or path -> Run
    simulate(graph, schedule)          one schedule on one fabric -> Result
    Network(graph), Schedule, Builder  what the parts say to each other

Everything is imported when it is first asked for, so that `import fabric` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import VERSION

if TYPE_CHECKING:
    from .bind import Overheads
    from .builder import Builder
    from .errors import FabricError, InputError, InternalError, RunError
    from .network import Network
    from .result import Result, Run
    from .routing import Rule
    from .runner import run
    from .schedule import Schedule
    from .simulation import simulate

__version__ = VERSION
DISTRIBUTION = "fabricsim"  # told apart from another distribution of the same import name by `fabric_sim`

_HOME = {
    "Builder": "builder",
    "FabricError": "errors",
    "InputError": "errors",
    "InternalError": "errors",
    "Network": "network",
    "Overheads": "bind",
    "Result": "result",
    "Rule": "routing",
    "Run": "result",
    "RunError": "errors",
    "Schedule": "schedule",
    "run": "runner",
    "simulate": "simulation",
}

__all__ = [
    "Builder",
    "FabricError",
    "InputError",
    "InternalError",
    "Network",
    "Overheads",
    "Result",
    "Rule",
    "Run",
    "RunError",
    "Schedule",
    "__version__",
    "run",
    "simulate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
