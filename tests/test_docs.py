"""The documentation says what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bounds import COLLECTIVES, MACHINES
from fabric.scenario import reference

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT.parent / "shared" / "data" / "measured"


def test_the_scenario_reference_is_up_to_date() -> None:
    """`fabric-sim schema --markdown > docs/scenario.md` renews it."""
    assert (ROOT / "docs" / "scenario.md").read_text() == reference()


def test_the_scenario_reference_says_what_options_mean() -> None:
    page = reference()
    assert "* `optimal`: `slices=null`. All-gather" in page
    assert "  * cycles: how many Hamiltonian cycles to use" in page
    assert "  * `racks=1` is one rack of it, 72 chips." in page
    assert not re.search("Raises|>>>", page)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="../shared/data is absent")
def test_the_validation_table_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "benchmarks.validation", str(PUBLISHED)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() in (ROOT / "docs" / "validation.md").read_text()


def test_the_page_of_bounds_has_every_collective_of_every_machine() -> None:
    """And the linear program of those that are farther from their bound than 1.001."""
    lines = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    found = {(row[0], row[2]): row for row in rows if len(row) == 10}
    for machine in MACHINES:
        for collective in COLLECTIVES:
            row = found[machine, collective]
            assert float(row[6]) >= 1
            assert float(row[6]) <= 1.001 or all(row[7:])


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
