"""Scenario files: read, checked as a whole, with every default filled in.

    read_scenario   a file, or text, to a Scenario; every fault at once, with file, line and column
    resolved        a Scenario as YAML that reads back as an equal one
    schema          the JSON Schema of the file
"""

from __future__ import annotations

from .model import ELEMENT_BYTES, Case, Moe, Overheads, Routing, Scenario, Settings, Topology
from .reader import read_scenario
from .writer import resolved, schema

__all__ = [
    "ELEMENT_BYTES",
    "Case",
    "Moe",
    "Overheads",
    "Routing",
    "Scenario",
    "Settings",
    "Topology",
    "read_scenario",
    "resolved",
    "schema",
]
