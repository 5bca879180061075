"""Clusters of machines over EFA: a NIC per chip or per few chips, ToR switches in pairs, leaves and spines.

Ranks are counted machine by machine: rank = machine * machine_ranks + rank in the machine. After all chips come the
switches inside the machines, then NICs, ToRs, leaves and spines.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import networkx as nx

from .check import check
from .clos import Clos, add_clos, add_folded_clos, size_clos
from .cores import chips_of, cores_of, refuse_many, with_cores
from .machines import MACHINES
from .parts import MOST_CHIPS, Graph, Link, add_node, choice, count_ranks, join, new_graph, positive, whole

__all__ = ["efa_cluster"]

GBPS = 1e9 / 8
FOLD_ABOVE = 16_384  # chips; an unfolded graph of as many takes a second to build and check
BYTES_PER_LINK = 350  # of an unfolded graph, measured; its nodes included
LEAF_PORTS = (256, 512, 1024)  # of 100 Gb/s: switches of 25.6, 51.2 and 102.4 Tb/s
DUAL_TOR = "half of the NIC's rate to each of two ToRs (SemiAnalysis 2025-12-04, Trainium3); latency is in alpha_efa"
NON_BLOCKING = "non-blocking (AWS Neuron docs, trn1-arch: UltraCluster)"
TRN2_NICS = "AWS Neuron docs, collectives: EFA, 16 NICs of 200 Gb/s per instance"


class Attachment(NamedTuple):
    """How a machine is attached to EFA: rate per chip in bytes/s, chips per NIC, and a lane of the chip's PCIe link."""

    bandwidth_per_chip: float
    share: int
    source: str
    confidence: str
    pcie: str = "PCIe Gen5"
    lane: float = 4e9


class Nic(NamedTuple):
    """A NIC: how many consecutive chips share it, its links to a chip and to one ToR, how many NICs a machine has."""

    share: int
    host: Link
    uplink: Link
    per_machine: int


class Tor(NamedTuple):
    """A ToR of a pair: its NICs, its cables upwards, and the bandwidth that each NIC adds to these."""

    nics: int
    uplinks: int
    bandwidth_per_nic: float


#: What is published of each machine; the generation of the host link of Trn1 is not, and taken as that of Trn2.
ATTACHMENTS: Mapping[str, Attachment] = MappingProxyType(
    {
        "trn1": Attachment(50 * GBPS, 2, "AWS Neuron docs, trn1-arch: EFA 800 Gb/s, 8 NICs of 100 Gb/s", "derived"),
        "trn1n": Attachment(100 * GBPS, 1, "AWS Neuron docs, trn1-arch: EFA 1,600 Gb/s, 16 of 100 Gb/s", "derived"),
        "trn2": Attachment(200 * GBPS, 1, TRN2_NICS, "derived"),
        "trn2_ultraserver": Attachment(200 * GBPS, 1, TRN2_NICS, "derived"),
        "trn3_gen1": Attachment(
            200 * GBPS, 1, "AWS Neuron docs, trn3-arch: EFA 12,800 Gb/s for 64 chips", "derived", "PCIe Gen6", 8e9
        ),
        "trn3_gen2": Attachment(
            200 * GBPS, 1, "AWS Neuron docs, trn3-arch: EFA 28,800 Gb/s for 144 chips", "derived", "PCIe Gen6", 8e9
        ),
    }
)
OTHER = Attachment(200 * GBPS, 1, "guess: 200 Gb/s per chip as on Trn2 and Trn3", "guess")


def efa_cluster(
    machine: str | Graph,
    count: int,
    *,
    machine_parameters: dict[str, Any] | None = None,
    nic_share: int | None = None,
    nic_bandwidth: float | None = None,
    nics_per_tor: int | None = None,
    oversubscription: float = 1.0,
    port_bandwidth: float = 100 * GBPS,
    tor_ports: int = 128,
    leaf_ports: int | None = None,
    spine_ports: int = 256,
    planes: int | None = None,
    leaves_per_plane: int | None = None,
    spines_per_plane: int | None = None,
    spread: bool | None = None,
    fold: bool | int | None = None,
) -> Graph:
    """`count` copies of a machine joined by NICs, ToRs, leaves and, where two layers do not suffice, spines.

    `machine` is a builder's name, called with `machine_parameters`, or a graph. Bandwidths are in bytes/s in one
    direction.

    NICs: `nic_share` consecutive chips share one NIC of `nic_bandwidth`. By default one NIC of 200 Gb/s per chip; on
    trn1 one of 100 Gb/s per two chips, on trn1n one of 100 Gb/s per chip. With another share and no bandwidth the
    rate per chip stays.

    ToRs come in pairs; every NIC has half of its bandwidth to each of the two, and `nics_per_tor` consecutive NICs are
    on one pair: by default as many of one rack (one machine, where there are no racks) as its ports and even division
    allow. `oversubscription` is the rate of a ToR's NICs over that of its uplinks. A ToR has a link to every leaf of
    its pod. A leaf has as much bandwidth up as down, to every spine of its plane. How many leaves, planes, pods and
    spines there are follows from the ports (of `port_bandwidth`) of each kind of switch: see `topologies.clos`. The
    default ports are those of a 12.8 Tb/s ToR and of 25.6 Tb/s leaves and spines with ports of 100 Gb/s
    (SemiAnalysis 2024-12-03 and 2025-12-04); where 256 `leaf_ports` do not suffice, 512 and then 1,024. Parallel
    cables between two switches are one edge with their summed bandwidth.

    Machines fill one pod after another; with `spread` they are dealt to equal pods in turn, machine i to pod i % pods.

    `fold` builds one machine that stands for all, with one leaf and one spine, for any number of chips: every node and
    edge says in `multiplicity` how many it stands for, and the graph attribute `fold` how many machines and pods there
    are. Machines are then spread, so that the symmetries of the cluster take any machine to any other. By default
    clusters of more than 16,384 chips are folded; more than 262,144 are not built unfolded. A number as `fold`, which
    divides `count`, is that of consecutive machines that are built, for replica groups that span so many: a step by as
    many takes any machine to one of these.

    Where the ranks of the machine are cores (`lnc`), so are those of the cluster: all cores first, then the chips, whose
    NICs are shared by their cores. Such a cluster is not folded.

    Latency: the overhead alpha_efa is end to end over ToR, leaf and ToR, so these links have none; a link to or from a
    spine has 0.9 us, one more switch each.

    ValueError on a parameter that does not fit.

    >>> graph = efa_cluster("trn2", 2)
    >>> graph.graph["machine_ranks"], graph.graph["layers"]["nics"], graph.graph["layers"]["tors"]
    (16, 32, 4)
    """
    model = _machine(machine, machine_parameters)
    count, cores = whole("count", count), cores_of(model)
    if cores is not None:
        refuse_many(count * count_ranks(model))
        model = chips_of(model)
    nic = _nic(model, nic_share, nic_bandwidth)
    folded = _folded(False if cores and fold is None else fold, count, count_ranks(model))
    if cores and folded:
        raise ValueError("fold: a cluster whose ranks are cores (lnc) is not folded")
    if not folded:
        _refuse_large(model, nic, count)
    nics = count * nic.per_machine
    choices = (
        _divisors(math.gcd(nic.per_machine, nic.per_machine // _count_of(model, "rack")))
        if nics_per_tor is None
        else [min(whole("nics_per_tor", nics_per_tor), nics)]
    )
    tor = _tor(nic, choices, oversubscription, port_bandwidth, whole("tor_ports", tor_ports))
    own_tors = 0 if nic.per_machine % tor.nics else 2 * nic.per_machine // tor.nics
    if (folded or spread) and not own_tors:
        raise ValueError(f"nics_per_tor {tor.nics}: machines that share a ToR can be neither folded nor spread")

    def size(leaf_ports: int) -> Clos:
        return size_clos(
            2 * math.ceil(nics / tor.nics),
            tor.uplinks,
            unit=own_tors or 2,
            leaf_ports=leaf_ports,
            spine_ports=spine_ports,
            planes=planes,
            leaves_per_plane=leaves_per_plane,
            spines_per_plane=spines_per_plane,
            equal=bool(folded or spread),
        )

    ports, clos = _first_that_suffices(size, LEAF_PORTS if leaf_ports is None else [leaf_ports])
    if folded and spread is False and clos.pods > 1:
        raise ValueError("spread: the machines of a folded cluster of several pods are spread over them")
    parameters = {
        **_builder_of(model),
        "count": count,
        "nic_share": nic_share,
        "nic_bandwidth": nic_bandwidth,
        "nics_per_tor": nics_per_tor,
        "oversubscription": oversubscription,
        "port_bandwidth": port_bandwidth,
        "tor_ports": tor_ports,
        "leaf_ports": leaf_ports,
        "spine_ports": spine_ports,
        "planes": planes,
        "leaves_per_plane": leaves_per_plane,
        "spines_per_plane": spines_per_plane,
        "spread": spread,
        "fold": fold,
    }
    graph = new_graph("efa_cluster", "cluster", "cluster", parameters)
    graph.graph["layers"] = {"nics": nics, "nics_per_tor": tor.nics, **clos._asdict()}
    _note_machine(graph, model, count)
    _add_machines(graph, model, folded or count)
    tors = _add_nics_and_tors(graph, nic, tor, nic.per_machine * folded if folded else nics)
    blocking = oversubscription != 1
    ratio = f"parameter oversubscription {oversubscription:g}" if blocking else NON_BLOCKING
    if leaf_ports is None and ports > LEAF_PORTS[0]:
        ratio += f"; leaves of {ports} ports, for {LEAF_PORTS[0]} do not suffice"
    source, confidence = f"{ratio}; {nic.uplink.source}", "given" if blocking else nic.uplink.confidence
    if folded:
        graph.graph["fold"] = {"machines": count, "pods": clos.pods, **({"unit": folded} if folded > 1 else {})}
        _multiply(graph, count // folded)
        add_folded_clos(graph, clos, tors, source, confidence, folded)
    else:
        add_clos(graph, clos, tors, source, confidence, own_tors if spread else None)
    return graph if cores is None else with_cores(graph, *cores)


def _folded(fold: bool | int | None, count: int, ranks: int) -> int:
    """How many of `count` machines, of so many ranks each, are built to stand for all; 0 where nothing is folded."""
    if fold is None:
        return int(count * ranks > FOLD_ABOVE)
    machines = int(fold) if isinstance(fold, bool) else whole("fold", fold)
    if machines and count < 2:
        raise ValueError("fold: a single machine has nothing to fold")
    if machines and count % machines:
        raise ValueError(f"fold: {machines:,} machines cannot stand for {count:,}, which they do not divide")
    return machines


def _first_that_suffices(size: Callable[[int], Clos], ports: Sequence[int]) -> tuple[int, Clos]:
    """The first number of leaf ports that will do, with the layers; the first one's ValueError where none does."""
    refusals = []
    for candidate in ports:
        try:
            return candidate, size(candidate)
        except ValueError as error:
            refusals.append(error)
    raise refusals[0]


def _refuse_large(model: Graph, nic: Nic, count: int) -> None:
    """Refuse to build more than MOST_CHIPS one by one."""
    chips = count * count_ranks(model)
    if chips > MOST_CHIPS:
        links = count * (model.number_of_edges() + 2 * count_ranks(model) + 4 * nic.per_machine)
        raise ValueError(
            f"fold: unfolded, {chips:,} chips are a graph of more than {links:,} links, about "
            f"{links * BYTES_PER_LINK / 2**30:.1f} GiB; at most {MOST_CHIPS:,} chips are built one by one"
        )


def _multiply(graph: Graph, count: int) -> None:
    """Make every node and link of a graph stand for `count`."""
    for _, node in graph.nodes(data=True):
        node["multiplicity"] = count
    for _, _, link in graph.edges(data=True):
        link["multiplicity"] = count


def _machine(machine: str | Graph, parameters: dict[str, Any] | None) -> Graph:
    if isinstance(machine, nx.DiGraph):
        if parameters:
            raise ValueError("machine_parameters go with the name of a builder, not with a graph")
        faults = check(machine)
        if faults:
            raise ValueError("the machine is not a sound graph: " + "; ".join(faults))
        if machine.graph.get("shape") == "cluster":
            raise ValueError("the machine is a cluster already; give one machine")
        return machine
    name = choice("machine", machine, MACHINES)
    parameters = parameters or {}
    signature = inspect.signature(MACHINES[name])
    for parameter in parameters:
        choice(f"parameter of {name}", parameter, signature.parameters)
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise ValueError(f"machine_parameters of {name}: {error}") from None
    return MACHINES[name](**parameters)


def _nic(model: Graph, share: int | None, bandwidth: float | None) -> Nic:
    """The NICs of a machine, from what is known of it and what the caller says."""
    known = ATTACHMENTS.get(str(model.graph.get("name")), OTHER)
    ranks = count_ranks(model)
    share = known.share if share is None else whole("nic_share", share)
    if ranks % share:
        raise ValueError(f"nic_share {share} does not divide the machine's {ranks} chips")
    source, confidence = known.source, known.confidence
    if bandwidth is None:
        bandwidth = known.bandwidth_per_chip * share
    else:
        bandwidth, source, confidence = positive("nic_bandwidth", bandwidth), "parameter nic_bandwidth", "given"
    lanes = 8
    while lanes * known.lane < bandwidth:
        lanes *= 2
    host_source = f"guess: a {known.pcie} x{lanes} host link per chip, no slower than its NIC; latency is in alpha_efa"
    return Nic(
        share,
        Link(lanes * known.lane, 0.0, "nic", host_source, "guess"),
        Link(bandwidth / 2, 0.0, "efa", f"{source}; {DUAL_TOR}", confidence),
        ranks // share,
    )


def _tor(nic: Nic, choices: list[int], oversubscription: float, port_bandwidth: float, ports: int) -> Tor:
    """The ToR with the first of the `choices` of NICs that its ports allow."""
    port = positive("port_bandwidth", port_bandwidth)
    up_per_nic = nic.uplink.bandwidth / positive("oversubscription", oversubscription)
    ports_per_nic = math.ceil(nic.uplink.bandwidth / port)
    for nics in choices:
        # Rounding first, so that 36.000000000000004 cables are 36.
        uplinks = math.ceil(round(nics * up_per_nic / port, 9))
        if nics * ports_per_nic + uplinks <= ports:
            return Tor(nics, uplinks, up_per_nic)
    raise ValueError(
        f"a ToR with {choices[-1]} NICs needs {choices[-1] * ports_per_nic} ports down and {uplinks} up, "
        f"but has {ports}; lower nics_per_tor or raise tor_ports"
    )


def _note_machine(graph: Graph, model: Graph, count: int) -> None:
    """Say in the graph attributes what the machines of the cluster are."""
    graph.graph.update(servers=count, machine_ranks=count_ranks(model))
    for name in ("name", "shape", "dims", "routing", "degraded", "efficiency"):
        if name in model.graph:
            graph.graph[f"machine_{name}"] = model.graph[name]
    graph.graph.setdefault("machine_routing", "shortest")
    for name in ("preset", "leg", "overheads"):
        if name in model.graph:
            graph.graph[name] = model.graph[name]


def _add_machines(graph: Graph, model: Graph, count: int) -> None:
    """Add the copies of the machine: all chips, then all that is inside the machines besides."""
    ranks, inner = count_ranks(model), len(model) - count_ranks(model)
    offsets = {name: _count_of(model, name) for name in ("rack", "server")}

    def number(machine: int, node: int) -> int:
        return machine * ranks + node if node < ranks else (count - 1) * ranks + machine * inner + node

    def add(machine: int, node: int) -> None:
        attributes = {**model.nodes[node], "machine": machine}
        for name, offset in offsets.items():
            if name in attributes:
                attributes[name] += machine * offset
        new = number(machine, node)
        attributes["name"] = f"chip {new}" if node < ranks else f"machine {machine} {attributes.get('name', node)}"
        graph.add_node(new, **attributes)

    for nodes in (range(ranks), range(ranks, len(model))):
        for machine in range(count):
            for node in nodes:
                add(machine, node)
    links = list(model.edges(data=True))
    for machine in range(count):
        graph.add_edges_from((number(machine, a), number(machine, b), link) for a, b, link in links)


def _add_nics_and_tors(graph: Graph, nic: Nic, tor: Tor, nics: int) -> dict[int, float]:
    """Add the NICs and the ToRs; return each ToR's bandwidth upwards."""
    first = len(graph)
    for index in range(nics):
        add_node(graph, "nic", f"nic {index}", machine=index // nic.per_machine)
        for chip in range(index * nic.share, (index + 1) * nic.share):
            join(graph, chip, first + index, nic.host)
    bandwidths: dict[int, float] = {}
    for start in range(0, nics, tor.nics):
        below = range(start, min(start + tor.nics, nics))
        for _ in range(2):
            node = add_node(graph, "switch", f"tor {len(bandwidths)}", tier="tor")
            bandwidths[node] = len(below) * tor.bandwidth_per_nic
            for index in below:
                join(graph, first + index, node, nic.uplink)
    return bandwidths


def _builder_of(model: Graph) -> dict[str, Any]:
    """The machine's builder and its parameters, as far as the graph tells them."""
    provenance = model.graph.get("provenance", {})
    return {
        "machine": provenance.get("builder", model.graph.get("name", "")),
        "machine_parameters": provenance.get("parameters", {}),
    }


def _count_of(model: Graph, name: str) -> int:
    """How many racks or servers a machine has: at least one."""
    return 1 + max(int(attributes.get(name, 0)) for _, attributes in model.nodes(data=True))


def _divisors(number: int) -> list[int]:
    return [divisor for divisor in range(number, 0, -1) if number % divisor == 0]
