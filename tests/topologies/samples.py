"""Graphs of every builder, for the tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable

import topologies as t

SAMPLES: dict[str, Callable[[], t.Graph]] = {
    "ring": lambda: t.ring(5, 1e9, 1e-6),
    "ring of 2": lambda: t.ring(2, 1e9),
    "mesh": lambda: t.mesh([3, 2, 2], [3e9, 2e9, 1e9]),
    "torus": lambda: t.torus([4, 3, 2, 1], 1e9, [1e-6, 2e-6, 3e-6, 4e-6]),
    "hypercube": lambda: t.hypercube(4, 1e9),
    "full_mesh": lambda: t.full_mesh(5, 1e9),
    "switch": lambda: t.switch(6, 1e9),
    "leaf_spine": lambda: t.leaf_spine(4, 3, 2, 1e9),
    "fat_tree": lambda: t.fat_tree(4, 1e9),
    "trn1": t.trn1,
    "trn1n": t.trn1n,
    "trn2": t.trn2,
    "trn2_ultraserver": t.trn2_ultraserver,
    **{
        f"{name} {preset} {racks}": lambda name=name, preset=preset, racks=racks: t.BUILDERS[name](preset, racks)
        for name in ("trn3_gen1", "trn3_gen2")
        for preset in ("aws-docs", "lanes160", "flat")
        for racks in (1, 2)
    },
    "efa_cluster, two layers": lambda: t.efa_cluster("trn2", 3),
    "efa_cluster, three layers": lambda: t.efa_cluster("trn1", 5, nics_per_tor=4, leaf_ports=8, spine_ports=8),
    "efa_cluster, one machine": lambda: t.efa_cluster("trn3_gen1", 1, machine_parameters={"racks": 1}),
    "efa_cluster of a graph": lambda: t.efa_cluster(t.torus([2, 2], 1e9), 2),
}
