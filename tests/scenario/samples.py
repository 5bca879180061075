"""What the tests of the scenario reader share."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from fabric.errors import InputError
from fabric.scenario import Flag, Scenario, read_scenario

CASE = """\
name: sample
cases:
  - name: one
    topology: {builder: ring, n: 4, bandwidth: 1 GB/s}
    collective: all_reduce
    sizes: 1 KiB
"""


def read(text: str, *overrides: str | Flag, folder: Path | None = None) -> Scenario:
    """The scenario in a text."""
    return read_scenario(dedent(text), name="s.yaml", folder=folder, overrides=overrides)


def faults(text: str, *overrides: str | Flag, folder: Path | None = None) -> list[str]:
    """The faults of a text that has some."""
    try:
        read(text, *overrides, folder=folder)
    except InputError as error:
        return error.faults
    raise AssertionError("there is no fault")


def with_case(*lines: str, **replaced: str) -> str:
    """The sample with keys of its case replaced (or left out: empty), and further lines at the end of the case."""
    out = []
    for line in CASE.splitlines():
        key = line.strip(" -").partition(":")[0]
        if key in replaced and line.startswith("    "):
            if replaced[key]:
                out.append(f"    {key}: {replaced[key]}")
        else:
            out.append(line)
    return "\n".join([*out, *(f"    {line}" for line in lines)]) + "\n"
