"""Scenario files: read, checked as a whole, with every default filled in.

`read_scenario` makes a Scenario of a file or text and reports every fault at once, with file, line and column. `resolved`
writes a Scenario as YAML that reads back as an equal one. `schema` is the JSON Schema of the file.
"""

from __future__ import annotations

from .model import ELEMENT_BYTES, Case, Moe, Overheads, Routing, Scenario, Settings, Topology
from .overrides import Flag
from .reader import read_scenario
from .reference import reference
from .writer import resolved, schema

__all__ = [
    "ELEMENT_BYTES",
    "Case",
    "Flag",
    "Moe",
    "Overheads",
    "Routing",
    "Scenario",
    "Settings",
    "Topology",
    "read_scenario",
    "reference",
    "resolved",
    "schema",
]
