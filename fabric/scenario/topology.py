"""The graph of a scenario's topology, and what is wrong with it.

A builder's signature says which parameters there are; those whose names end in `bandwidth` or `latency` are text with a
unit. What a value may be the builder itself says.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

import topologies
from topologies import BUILDERS, Graph

from ..errors import nearest, unknown
from .document import Path
from .fields import shown
from .model import Degrade, Topology
from .quantities import bandwidth_text, read_bandwidth, read_time, time_text

Faults = list[tuple[Path, str, bool]]  # path below the topology, message, whether it is about the key

_READERS: Mapping[str, Callable[[object], float]] = {"bandwidth": read_bandwidth, "latency": read_time}
_WRITERS: Mapping[str, Callable[[float], str]] = {"bandwidth": bandwidth_text, "latency": time_text}


def build(topology: Topology, folder: FilePath) -> tuple[Graph | None, Faults]:
    """The graph, or None and what is wrong; relative files are in `folder`."""
    graph, faults = _from_file(topology, folder) if topology.file else _from_builder(topology)
    if graph is None:
        return None, faults
    for index, loss in enumerate(topology.degrade):
        try:
            graph = _degraded(graph, loss)
        except ValueError as error:
            faults.append((("degrade", index), str(error), False))
    return (None if faults else graph), faults


def with_defaults(topology: dict[str, Any], folder: FilePath) -> dict[str, Any]:
    """A topology of the file with its builder's defaults filled in and its file's path made absolute."""
    if "file" in topology:
        return {**topology, "file": str((folder / topology["file"]).resolve())}
    return {**topology, **_defaults(topology["builder"], topology)}


def _defaults(builder: str, given: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, parameter in _parameters(builder).items():
        if name not in given and parameter.default not in (None, parameter.empty):
            out[name] = _written(name, parameter.default)
    if given.get("machine") in BUILDERS and "machine_parameters" in _parameters(builder):
        machine = dict(given.get("machine_parameters", {}))
        out["machine_parameters"] = {**machine, **_defaults(given["machine"], machine)}
    return out


def _written(name: str, value: object) -> object:
    write = _WRITERS.get(_quantity(name))
    return write(value) if write and isinstance(value, (int, float)) else value


def _quantity(name: str) -> str:
    """`bandwidth` for `nic_bandwidth`."""
    return name.rpartition("_")[2]


def _parameters(builder: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(BUILDERS[builder]).parameters


# --- builders ------------------------------------------------------------------------------------------------------------


def _from_builder(topology: Topology) -> tuple[Graph | None, Faults]:
    assert topology.builder is not None
    arguments, faults = _arguments(topology.builder, topology.parameters, ())
    if any(name not in arguments for name in _required(topology.builder)):
        return None, faults
    # A builder names one fault at a time: take the offending parameter away and ask again.
    while True:
        graph, fault = _call(topology.builder, arguments)
        if fault is None:
            return graph, faults
        faults.append(fault)
        offender = fault[0][0] if fault[0] else None
        if offender not in arguments or offender in _required(topology.builder):
            return None, faults
        del arguments[str(offender)]


def _call(builder: str, arguments: dict[str, Any]) -> tuple[Graph | None, tuple[Path, str, bool] | None]:
    try:
        return BUILDERS[builder](**arguments), None
    except (ValueError, TypeError, OverflowError) as error:
        return None, (_offender(str(error), arguments), str(error), False)


def _offender(message: str, arguments: Mapping[str, Any]) -> Path:
    """The parameter that a builder's message speaks of: the first one named in it; () if none is."""
    words = re.findall(r"\w+", message)
    places = [(words.index(name), name) for name in arguments if name in words]
    if places:
        return (min(places)[1],)
    inner = arguments.get("machine_parameters") or {}
    places = [(words.index(name), name) for name in inner if name in words]
    return ("machine_parameters", min(places)[1]) if places else ()


def _required(builder: str) -> list[str]:
    return [name for name, parameter in _parameters(builder).items() if parameter.default is parameter.empty]


def _arguments(builder: str, given: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], Faults]:
    """The builder's arguments as numbers in bytes/s and s, and what is wrong; a wrong quantity becomes 1."""
    known = _parameters(builder)
    faults: Faults = []
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            faults.append(((*path, name), f"{builder} has no parameter {name!r}{nearest(name, list(known))}; "
                           f"it has {', '.join(known) or 'none'}", True))  # fmt: skip
            continue
        try:
            arguments[name] = _value(name, value)
        except ValueError as error:
            faults.append(((*path, name), str(error), False))
            arguments[name] = 1.0
    faults += [((*path, name), f"{builder} needs {name}", True) for name in _required(builder) if name not in given]
    if "machine" in arguments and "machine_parameters" in known:
        faults += _machine(arguments, path)
    return arguments, faults


def _machine(arguments: dict[str, Any], path: Path) -> Faults:
    """Check the machine of a cluster and convert its parameters in place."""
    machine, inner = arguments["machine"], arguments.get("machine_parameters", {})
    if not isinstance(machine, str) or machine not in topologies.machines.MACHINES:
        del arguments["machine"]
        return [((*path, "machine"), unknown("machine", str(machine), list(topologies.machines.MACHINES)), False)]
    if not isinstance(inner, Mapping):
        del arguments["machine_parameters"]
        return [((*path, "machine_parameters"), f"expected a mapping, not {shown(inner)}", False)]
    converted, faults = _arguments(machine, inner, (*path, "machine_parameters"))
    if converted:
        arguments["machine_parameters"] = converted
    if any(name not in converted for name in _required(machine)):
        del arguments["machine"]
    return faults


def _value(name: str, value: object) -> object:
    read = _READERS.get(_quantity(name))
    if read is None:
        return value
    return [read(item) for item in value] if isinstance(value, list) else read(value)


# --- files and losses ----------------------------------------------------------------------------------------------------


def _from_file(topology: Topology, folder: FilePath) -> tuple[Graph | None, Faults]:
    from topologies.formats import FileFaults, read

    faults: Faults = [
        ((name,), f"unknown key {name!r}: a topology from a file has file and degrade alone", True)
        for name in topology.parameters
    ]
    assert topology.file is not None
    try:
        graph = read(folder / topology.file)
    except OSError as error:
        return None, [*faults, (("file",), f"cannot be read: {error.strerror}", False)]
    except FileFaults as error:
        return None, [*faults, *((("file",), fault, False) for fault in error.faults)]
    except ValueError as error:
        return None, [*faults, (("file",), str(error), False)]
    faults += [(("file",), f"{topology.file}: {fault}", False) for fault in topologies.check(graph)]
    return (None if faults else graph), faults


def _degraded(graph: Graph, loss: Degrade) -> Graph:
    cable = loss.cable is not None
    if loss.factor is None:
        return topologies.degrade(graph, down=[loss.pair], cable=cable)
    return topologies.degrade(graph, slow=[(loss.pair, loss.factor)], cable=cable)
