"""What the README shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fabric.runner import run

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_python_blocks_run(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_scenario_runs(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "readme.yaml").write_text(block)
    assert [result.case for result in run(tmp_path / "readme.yaml", ["sizes=1 MiB"]).results] == [
        "Trn2 UltraServer",
        "Trn3 Gen2 with a cable lost",
    ]


def test_the_table_is_what_the_scenario_prints() -> None:
    printed = (Path(__file__).parent / "transcripts" / "trn2-allreduce.txt").read_text().splitlines()
    (block,) = re.findall(r"\$ fabric-sim run trn2-allreduce\n(.*?)```", README, re.DOTALL)
    assert set(block.splitlines()) - {"..."} <= set(printed)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((docs/[^)]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
