"""The reference of the scenario file as Markdown, made from the schema, the builders and the algorithms themselves."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

from topologies import BUILDERS

from ..collectives import ALGORITHMS, FITTED, SLICES
from .writer import schema

HEAD = """\
# Scenario reference
Made by `fabric-sim schema --markdown`.

A scenario is one YAML file (1.2). It is read whole: every fault is reported at once as `file:line:column`, unknown keys are
faults, and nothing runs before all of it is right. Sizes, times and bandwidths are text with a unit: `64 MiB`, `1.3 us`,
`128 GB/s`, `400 Gb/s`; `b` is a bit, `B` a byte, `k M G T` are powers of 1000, `Ki Mi Gi Ti` of 1024; only 0 may be bare.
`fabric-sim run FILE --set KEY.PATH=VALUE` overrides a value; a key of a case applies to every case unless one is named
(`cases.0.algorithm=ring`, `cases.Trn2.sizes=1 MiB`). Sizes go up to 8 PiB, bandwidths from 0.001 B/s to 1e9 GB/s, times to
1e9 s.

`-o DIR` writes `results.json`, `results.csv`, `links.npz` (every link), the plots, and `scenario.yaml`, the scenario with every
default filled in, which reruns to the same numbers: all of them or none, in the place of an earlier run's; other files in the
folder stay. After Ctrl-C (or SIGTERM) there are `scenario.yaml` and, with `"partial": true` and the rows that were finished,
`results.json`, or nothing if no row was; the exit code is 130.
"""


def reference() -> str:
    """The whole page."""
    whole = schema()
    lines = [HEAD, *_model("The file", whole)]
    for name, model in sorted(whole["$defs"].items(), key=_rank):
        lines += _model(name, model)
    lines += ["## Builders", "The keys of `topology` beside `builder` and `degrade`; bandwidths and latencies with a unit.", ""]
    for name, builder in BUILDERS.items():
        lines += _function(name, builder)
    lines += ["", "## Algorithms", "`algorithm: auto` tries every one that applies and reports the fastest, by size;"]
    lines += ["`hierarchical` with ring, rdh and pat between the machines, with others (`outer`) only where asked for."]
    cut = ", ".join(f"{count} for `{name}`" for name, count in SLICES.items())
    lines += [f"Each takes `slices` besides: into how many its transfers are cut, to pipeline; {cut}, 1 for all others.", "None"
              " (or null) is what holds where an option is left out.", ""]  # fmt: skip
    for collective, known in ALGORITHMS.items():
        lines.append(f"**{collective}**")
        lines.append("")
        for name, function in {**known, **FITTED.get(collective, {})}.items():
            lines += _function(name, function)
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _rank(item: tuple[str, Any]) -> tuple[int, str]:
    """Models in the order in which a reader meets them, any others after them."""
    order = ["Case", "Topology", "Degrade", "Algorithm", "Moe", "Scale", "Overheads", "Routing", "Report"]
    return (order.index(item[0]) if item[0] in order else len(order), item[0])


def _model(name: str, model: dict[str, Any]) -> Iterator[str]:
    yield f"## {name}"
    yield model.get("description", "")
    yield ""
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for key, value in model["properties"].items():
        default = "required" if key in model.get("required", []) else _default(value)
        yield f"| `{key}` | {_kind(value)} | {default} | {value.get('description', '')} |"
    yield ""


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    return "" if default is None else f"`{json.dumps(default)}`"


def _kind(value: dict[str, Any]) -> str:
    """What a key takes, in a few words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        kinds = dict.fromkeys(_kind(one) for one in value["anyOf"] if one.get("type") != "null" and one.get("const") != 0)
        return " or ".join(kinds)
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    if value.get("type") == "array":
        return f"list of {_kind(value['items'])}"
    example = f", such as `{value['examples'][0]}`" if value.get("examples") else ""
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "`true` or `false`",
        "object": "mapping",
    }
    return words.get(value.get("type", ""), "any value") + example


def _signature(function: Any) -> str:
    """The parameters that a file may give, with their defaults."""
    given = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in ("layout", "matrix", "network", "ranks", "progress"):
            continue
        default = parameter.default
        given.append(f"`{name}`" if default is parameter.empty else f"`{name}={json.dumps(default)}`")
    return ", ".join(given) or "no options"


def _function(name: str, function: Any) -> Iterator[str]:
    """A builder or an algorithm: its parameters, and what its docstring says but for what it raises."""
    head, _, rest = (inspect.getdoc(function) or "").partition("\n\n")
    yield f"* `{name}`: {_signature(function)}. {' '.join(head.split())}"
    said = re.sub(r"(Raises|ValueError)\b[^>]*?(?=\n\n|$)", "", rest.partition(">>>")[0].strip())
    yield from (f"  * {' '.join(item.split())}" for item in re.split(r"\n\n|\n(?=\w+: )", said) if item.strip())
