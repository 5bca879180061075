"""The builders that make one machine, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from .parts import Graph
from .shapes import fat_tree, full_mesh, hypercube, leaf_spine, mesh, ring, switch, torus
from .trn1 import trn1, trn1n
from .trn2 import trn2, trn2_ultraserver
from .trn3 import trn3_gen1, trn3_gen2

Builder = Callable[..., Graph]

TRAINIUM: Mapping[str, Builder] = MappingProxyType(
    {builder.__name__: builder for builder in (trn1, trn1n, trn2, trn2_ultraserver, trn3_gen1, trn3_gen2)}
)
SHAPES: Mapping[str, Builder] = MappingProxyType(
    {builder.__name__: builder for builder in (ring, mesh, torus, hypercube, full_mesh, switch, leaf_spine, fat_tree)}
)
MACHINES: Mapping[str, Builder] = MappingProxyType({**TRAINIUM, **SHAPES})
