"""Trainium1 machines: 16 chips on a 4x4 torus of NeuronLink-v2."""

from __future__ import annotations

from .cores import Cores, logical
from .parts import Graph, Link, new_graph
from .shapes import add_grid

__all__ = ["trn1", "trn1n"]

DIMS = (4, 4)
HOP = 0.30e-6
HOP_SOURCE = "latency 0.30 us: guess, ring hops of 1-2 us (AWS Neuron docs, intranode-collective-comm) less a step of 1.3 us"
CORES = Cores(2, 820e9, "AWS Neuron docs, trainium_inferentia2_arch", together=(1,))
OVERHEADS = {
    "alpha_link": 1.3e-6,
    "alpha_efa": 20e-6,
    "source": "alpha_link 1.3 us: AWS Neuron docs, nki-dma-bandwidth-guide: semaphore to start of a DMA; "
    "alpha_efa 20 us: aws-ofi-nccl, nccl_ofi_model.cpp: P5 with the same EFAv2, 2 nodes, 8 B write",
}


def trn1(lnc: int | None = None) -> Graph:
    """trn1.32xlarge: 4 links per chip, 48 GB/s in each direction (384 per chip, both directions, over 4 links).

    `lnc=1` makes the NeuronCores the ranks: two of each chip.

    >>> trn1().edges[0, 1]["bandwidth"]
    48000000000.0
    """
    return _machine("trn1", lnc, 48e9, "384 (GiB/sec/device) on trn1.32xlarge / 4 links / 2 directions = 48 GB/s")


def trn1n(lnc: int | None = None) -> Graph:
    """trn1n.32xlarge: as trn1 with twice the rate, 96 GB/s per link and direction; `lnc` as there.

    >>> trn1n().edges[0, 1]["bandwidth"]
    96000000000.0
    """
    return _machine("trn1n", lnc, 96e9, "768 (GiB/sec/device) on trn1n.32xlarge / 4 links / 2 directions = 96 GB/s")


def _machine(name: str, lnc: int | None, bandwidth: float, rate: str) -> Graph:
    source = f"AWS Neuron docs, trn1-arch: NeuronLink-v2 device-to-device {rate}; {HOP_SOURCE}"
    graph = new_graph(name, "torus", "dimension_order", {} if lnc is None else {"lnc": lnc}, DIMS)
    graph.graph["overheads"] = dict(OVERHEADS)
    links = [Link(bandwidth, HOP, f"neuronlink-{axis}", source, "derived") for axis in "xy"]
    add_grid(graph, DIMS, links, wrap=True)
    return logical(graph, lnc, CORES)
