"""Trainium2 machines: a 4x4 torus of 16 chips (trn2.48xlarge), and four of them in a 4x4x4 torus (the UltraServer).

device = 4*row + column with x = column and y = row. The UltraServer adds z, the number of the instance, which is also
the chip's `server`.
"""

from __future__ import annotations

from .cores import Cores, logical
from .parts import Graph, Link, add_chips_on_grid, new_graph
from .shapes import add_grid

__all__ = ["NEIGHBOURS", "trn2", "trn2_ultraserver"]

#: The four neighbours of each device, as the table trn2_32xl_neigbor_ids of aws-neuron-driver v3/neuron_dhal_v3.c.
NEIGHBOURS = (
    (12, 1, 3, 4),
    (0, 13, 5, 2),
    (14, 3, 1, 6),
    (2, 15, 7, 0),
    (8, 5, 7, 0),
    (4, 9, 1, 6),
    (10, 7, 5, 2),
    (6, 11, 3, 4),
    (4, 9, 11, 12),
    (8, 5, 13, 10),
    (6, 11, 9, 14),
    (10, 7, 15, 8),
    (0, 13, 15, 8),
    (12, 1, 9, 14),
    (2, 15, 13, 10),
    (14, 3, 11, 12),
)
DIMS = (4, 4)
HOP = 0.30e-6
HOP_Z = 0.35e-6
HOP_SOURCE = "latency 0.30 us: guess, ring hops of 1-2 us (AWS Neuron docs, intranode-collective-comm) less a step of 1.3 us"
XY_SOURCE = (
    "AWS Neuron docs, trn2-arch: 1,024 GB/s inside the instance, both directions, over 4 links = 128 GB/s; "
    f"x32 PCIe Gen5 (SemiAnalysis 2024-12-03, Trainium2); {HOP_SOURCE}"
)
Z_SOURCE = (
    "AWS Neuron docs, trn2-arch: 256 GB/s between instances, both directions, over 2 links = 64 GB/s; "
    "x16 PCIe Gen5 (SemiAnalysis 2024-12-03, Trainium2); latency 0.35 us: guess, the 0.30 us of x and y plus a "
    "retimed cable"
)
CORES = Cores(8, 2.9e12, "AWS Neuron docs, trn2-arch")
OVERHEADS = {
    "alpha_link": 1.3e-6,
    "alpha_efa": 15e-6,
    "source": "alpha_link 1.3 us: AWS Neuron docs, nki-dma-bandwidth-guide: semaphore to start of a DMA; "
    "alpha_efa 15 us: AWS Neuron docs, collectives: HBM to HBM between two Trn2 servers, minimal packet",
}


def trn2(lnc: int | None = None) -> Graph:
    """trn2.48xlarge: 16 chips joined as the published neighbour table says, 128 GB/s per link and direction.

    `lnc` (1 or 2) makes the logical NeuronCores the ranks: 8 / lnc of each chip.

    >>> sorted(trn2().successors(0))
    [1, 3, 4, 12]
    """
    graph = new_graph("trn2", "torus", "dimension_order", {} if lnc is None else {"lnc": lnc}, DIMS)
    graph.graph["overheads"] = dict(OVERHEADS)
    add_chips_on_grid(graph, DIMS)
    x, y = _xy_links()
    for device, neighbours in enumerate(NEIGHBOURS):
        for neighbour in neighbours:
            same_row = device // 4 == neighbour // 4
            graph.add_edge(device, neighbour, **(x if same_row else y)._asdict())
    return logical(graph, lnc, CORES)


def trn2_ultraserver(lnc: int | None = None) -> Graph:
    """Trn2 UltraServer: 4x4x4 torus, 128 GB/s on x and y, 64 GB/s on z, which joins equal chips of four instances.

    `lnc` (1 or 2) makes the logical NeuronCores the ranks: 8 / lnc of each chip.

    >>> graph = trn2_ultraserver()
    >>> graph.nodes[21]["coord"], graph.nodes[21]["server"], graph.edges[21, 37]["bandwidth"]
    ([1, 1, 1], 1, 64000000000.0)
    """
    dims = (*DIMS, 4)
    graph = new_graph("trn2_ultraserver", "torus", "dimension_order", {} if lnc is None else {"lnc": lnc}, dims)
    graph.graph["overheads"] = dict(OVERHEADS)
    z = Link(64e9, HOP_Z, "neuronlink-z", Z_SOURCE, "derived")
    add_grid(graph, dims, [*_xy_links(), z], wrap=True)
    for rank in graph:
        graph.nodes[rank]["server"] = rank // 16
    return logical(graph, lnc, CORES)


def _xy_links() -> list[Link]:
    return [Link(128e9, HOP, f"neuronlink-{axis}", XY_SOURCE, "derived") for axis in "xy"]
