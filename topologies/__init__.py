"""Builders of accelerator fabrics: functions that return plain networkx graphs.

A fabric is a `networkx.DiGraph`. Bandwidths are in bytes/s, latencies in s, both of one direction.

Nodes are ints: ranks are 0..n-1, then come switches and NICs, counted on without gaps.

    kind        "chip" (a rank), "switch" or "nic"; or "core" (a rank), and the chips come after the cores
    name        unique text, such as "chip 5", "rack switch 1", "nic 12", "leaf 0"
    coord       list of ints, where the ranks lie on a grid
    rack, server, machine    ints, where there are such things; counted over the whole fabric
    tier        word, on switches: "sled", "rack", "tor", "leaf", "spine"
    resources   {name: {"bandwidth", "send", "receive", "reduce", "source", "confidence"}}, further capacities of a
                node (HBM, DMA) with the coefficient at which each kind of transfer uses them; no builder sets any
    multiplicity  how many like it the node stands for in a folded graph; 1 if absent

An edge u -> v is one direction of a link.

    bandwidth   bytes/s, finite and above zero
    latency     s
    tier        word: "neuronlink-x", "tray", "sled", "rack", "cross-rack", "nic" (chip and NIC), "efa" (NIC and ToR),
                "leaf" (ToR and leaf), "spine" (leaf and spine); "link", "x", "y", ... on plain shapes
    source      document and field that the numbers are from
    confidence  of the bandwidth: "official", "analyst", "press", "derived", "guess", or "given" by the caller
    multiplicity  how many like it the edge stands for in a folded graph; 1 if absent

Graph attributes are JSON values.

    name, preset   what was built: "trn3_gen2", "aws-docs" ("" where there are no presets)
    shape       "torus", "mesh", "ring", "hypercube", "full_mesh", "switch", "leaf_spine", "fat_tree", "trn3", "cluster",
                "cores" (then chip_shape, chip_dims, chip_routing and cores_per_chip say what the chips are)
    dims        sizes of the grid; the first coordinate varies fastest: rank = x + kx * (y + ky * z)
    routing     default rule: "dimension_order", "trn3", "spray", "cluster", "cores" or "shortest"
    provenance  {"builder": name, "parameters": {...}}
    overheads   {"alpha_link": s, "alpha_efa": s, "source": text}, on machines for which they are known
    fold        {"machines": count, "pods": count} of a folded cluster, whose one machine stands for all; with "unit": count
                so many machines stand for all
    degraded    [{"from": name, "to": name, "factor": 0..1}], what `degrade` did; in a folded cluster, where the links of the
                graph stay as they are, also "machine": index, and "of": [node, node], the link that is slow in it alone

A graph from elsewhere needs `kind` on its nodes and `bandwidth` on its edges; `check` lists all that is wrong with one.
Readers and writers of files are in `topologies.formats`.

The documents that the sources name:

    AWS Neuron docs           https://awsdocs-neuron.readthedocs-hosted.com, the page as named
    SemiAnalysis 2024-12-03   https://newsletter.semianalysis.com/p/amazons-ai-self-sufficiency-trainium2-architecture-networking
    SemiAnalysis 2025-12-04   https://newsletter.semianalysis.com/p/aws-trainium3-deep-dive-a-potential
    aws-ofi-nccl, aws-neuron-driver   repositories of github.com/aws and github.com/aws-neuron, the file as named
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .check import check
from .cores import with_cores
from .degrade import degrade
from .efa import efa_cluster
from .efficiency import with_efficiency
from .machines import MACHINES, Builder
from .parts import Graph
from .shapes import fat_tree, full_mesh, hypercube, leaf_spine, mesh, ring, switch, torus
from .trn1 import trn1, trn1n
from .trn2 import trn2, trn2_ultraserver
from .trn3 import trn3_gen1, trn3_gen2

__all__ = [
    "BUILDERS",
    "Graph",
    "check",
    "degrade",
    "efa_cluster",
    "fat_tree",
    "full_mesh",
    "hypercube",
    "leaf_spine",
    "mesh",
    "ring",
    "switch",
    "torus",
    "trn1",
    "trn1n",
    "trn2",
    "trn2_ultraserver",
    "trn3_gen1",
    "trn3_gen2",
    "with_cores",
    "with_efficiency",
]

#: Every builder by name.
BUILDERS: Mapping[str, Builder] = MappingProxyType({**MACHINES, "efa_cluster": efa_cluster})
