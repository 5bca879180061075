"""The documentation says what the program says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fabric.scenario import reference

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT.parent / "shared" / "data" / "measured"


def test_the_scenario_reference_is_up_to_date() -> None:
    """`fabric-sim schema --markdown > docs/scenario.md` renews it."""
    assert (ROOT / "docs" / "scenario.md").read_text() == reference()


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="../shared/data is absent")
def test_the_validation_table_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "benchmarks.validation", str(PUBLISHED)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() in (ROOT / "docs" / "validation.md").read_text()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
