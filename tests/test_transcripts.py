"""Every scenario that ships runs and prints what it printed when it was last looked at.

`python -m tests.test_transcripts` writes the transcripts anew, after a change that is meant.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fabric.report import tables
from fabric.runner import load, run_scenario, shipped

FOLDER = Path(__file__).parent / "transcripts"
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def transcript(name: str) -> str:
    scenario = load(name)
    return tables(run_scenario(scenario, lambda text: None).results, scenario.report.links)


@pytest.mark.parametrize("name", shipped())
def test_scenario(name: str) -> None:
    printed, expected = transcript(name), (FOLDER / f"{name}.txt").read_text()
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", expected)
    for new, old in zip(NUMBER.findall(printed), NUMBER.findall(expected), strict=True):
        # One unit of the last printed digit is rounding; anything more is a change.
        digit = 10.0 ** -len(old.partition(".")[2]) if "e" not in old else float(old) * 1e-3
        assert float(new) == pytest.approx(float(old), abs=1.01 * digit), f"{name}: {new} where {old} was printed"


def test_no_transcript_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(shipped())


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[1:] or shipped():
        (FOLDER / f"{name}.txt").write_text(transcript(name))
        print(name)
