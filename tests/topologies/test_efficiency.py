from __future__ import annotations

import pytest

import topologies as t


def factors(graph: t.Graph, value: float | str) -> dict[str, float]:
    scaled = t.with_efficiency(graph, value)
    assert scaled.graph["efficiency"] == value
    assert all("times efficiency" in link["source"] for _, _, link in scaled.edges(data=True))
    return {
        link["tier"]: round(link["bandwidth"] / graph.edges[a, b]["bandwidth"], 12) for a, b, link in scaled.edges(data=True)
    }


def test_number_multiplies_every_bandwidth() -> None:
    graph = t.trn3_gen2()
    assert factors(graph, 0.5) == {"sled": 0.5, "rack": 0.5, "cross-rack": 0.5}
    assert graph.edges[0, 72]["bandwidth"] == 128e9, "the argument stays as it was"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trn1", 0.87),
        ("trn1n", 0.87),
        ("trn2", 0.87),
        ("trn2_ultraserver", 0.87),
        ("trn3_gen1", 0.9),
        ("trn3_gen2", 0.9),
    ],
)
def test_default_is_that_of_the_machine(name: str, expected: float) -> None:
    assert set(factors(t.BUILDERS[name](), "default").values()) == {expected}


def test_default_of_a_cluster() -> None:
    cluster = t.efa_cluster("trn3_gen2", 2, leaf_ports=8, spine_ports=8)
    assert factors(cluster, "default") == {
        "sled": 0.9,
        "rack": 0.9,
        "cross-rack": 0.9,
        "nic": 0.9,
        "efa": 0.92,
        "leaf": 0.92,
        "spine": 0.92,
    }


def test_defaults_are_called_guesses() -> None:
    assert "guess: as PCIe Gen5" in t.with_efficiency(t.trn1(), "default").edges[0, 1]["source"]


@pytest.mark.parametrize("value", [0, -1, 1.1, float("nan"), "0.9", "defualt", True, None])
def test_bad_value(value: object) -> None:
    with pytest.raises(ValueError, match="efficiency must be a number above 0 and at most 1, or 'default'"):
        t.with_efficiency(t.trn2(), value)  # type: ignore[arg-type]


def test_default_needs_a_known_machine() -> None:
    with pytest.raises(ValueError, match="not for 'ring'; give a number"):
        t.with_efficiency(t.ring(4, 1e9), "default")


def test_not_twice() -> None:
    once = t.with_efficiency(t.trn2(), 0.9)
    with pytest.raises(ValueError, match=r"has an efficiency of 0\.9 already"):
        t.with_efficiency(once, 0.9)
    with pytest.raises(ValueError, match=r"has an efficiency of 0\.9 already"):
        t.with_efficiency(t.efa_cluster(once, 2), "default")
