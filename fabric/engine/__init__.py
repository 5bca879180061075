"""Max-min fair flows on shared capacities, exactly, over time. Numbers only: `Flows` in, `Outcome` out."""

from .engine import Engine, Interrupted, Progress, Stall, prepare, solve
from .flows import Flows, History, Outcome
from .symmetry import Classes, expand, quotient, refine

__all__ = [
    "Classes",
    "Engine",
    "Flows",
    "History",
    "Interrupted",
    "Outcome",
    "Progress",
    "Stall",
    "expand",
    "prepare",
    "quotient",
    "refine",
    "solve",
]
