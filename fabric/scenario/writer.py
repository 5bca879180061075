"""A scenario as text: YAML that reads back as an equal scenario, and the JSON Schema of the file."""

from __future__ import annotations

from io import StringIO
from typing import Any

from ruamel.yaml import YAML

from .model import Scenario


def resolved(scenario: Scenario) -> str:
    """YAML with every default written out; it reads back as an equal scenario and gives the same numbers.

    Paths of topology files are absolute in it; a matrix from a file is written out.
    """
    yaml = YAML(pure=True)
    yaml.default_flow_style = None  # lists and mappings without others inside in one line
    yaml.width = 120
    out = StringIO()
    yaml.dump(_without_none(scenario.model_dump(mode="json")), out)
    return out.getvalue()


def _without_none(value: Any) -> Any:
    """Plain values without the keys that are not set."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a scenario file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema()}
