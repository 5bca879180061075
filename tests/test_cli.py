"""The command as a user meets it: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fabric.result import Result
from fabric.simulation import measure

from .conftest import Command

SMALL = """\
name: small
cases:
  - name: one
    topology: {builder: trn2}
    collective: all_gather
    algorithm: mesh
    sizes: [1 MiB, 16 MiB]
overheads: none
plots: [latency]
"""


SLOW = """\
import sys, time
import fabric.cli, fabric.case_run
def wait(*arguments, **options):
    print("running", flush=True)
    time.sleep(60)
fabric.case_run.measure = wait
sys.exit(fabric.cli.main())
"""


def test_a_scenario_file_prints_a_table(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    answer = command("run", "small.yaml")
    assert answer.code == 0
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert lines[0] == "# one: all_gather on 16 ranks of trn2"
    assert lines[1].split() == (
        ["size(B)", "count(elems)", "type", "time(us)", "algbw(GB/s)", "busbw(GB/s)", "algorithm", "bound(us)", "gap"]
    )
    # Direct all-gather, dimension order: the busiest link of a 4x4 torus carries S/2, so 1 MiB takes 2^20 / 2 / 128e9 s.
    assert lines[2].split()[:5] == ["1048576", "1048576", "uint8", f"{2**19 / 128e9 * 1e6:.2f}", f"{256:.2f}"]


def test_json_has_the_stable_names(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    found = json.loads(command("run", "small.yaml", "--json").out)
    assert set(found) == {"scenario", "version", "partial", "results"}
    assert {
        "case", "topology", "preset", "collective", "algorithm", "ranks", "size_bytes", "time_s", "algbw_Bps", "busbw_Bps",
        "bound_s", "bound", "gap", "tiers", "bottleneck", "groups_s",
    } <= set(found["results"][0])  # fmt: skip
    assert set(found["results"][0]["tiers"][0]) == {"tier", "links", "bytes", "utilisation_mean", "utilisation_max"}
    row = found["results"][1]
    assert row["busbw_Bps"] == pytest.approx(row["size_bytes"] / row["time_s"] * 15 / 16)


def test_output_is_complete_and_reruns_to_the_same_numbers(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    assert command("run", "small.yaml", "-o", "out").code == 0
    assert sorted(file.name for file in Path("out").iterdir()) == [
        "latency.png", "links.npz", "results.csv", "results.json", "scenario.yaml",
    ]  # fmt: skip
    assert command("run", "out/scenario.yaml", "-o", "again").code == 0
    assert json.loads(Path("again/results.json").read_text()) == json.loads(Path("out/results.json").read_text())
    assert Path("out/results.csv").read_text().count("\n") == 3


def test_set_overrides_a_value(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    answer = command("run", "small.yaml", "--set", "algorithm=ring", "--set", "sizes=2 MiB", "--json")
    (row,) = json.loads(answer.out)["results"]
    assert (row["algorithm"], row["size_bytes"]) == ("ring", 2 * 2**20)


def test_groups_run_at_the_same_time(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    rows = [[0, 1, 2, 3], [4, 5, 6, 7]]
    answer = command(
        "run", "small.yaml", "--set", f"groups={rows}", "--set", "algorithm=ring", "--set", "sizes=1 MiB", "--json"
    )
    (row,) = json.loads(answer.out)["results"]
    # Rows of the torus are rings of 4 with links of their own: both directions, 3/4 of the size over two links.
    assert row["groups_s"] == pytest.approx([0.75 * 2**20 / (2 * 128e9)] * 2)
    assert row["ranks"] == 4


def test_standard_input(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(SMALL.replace("mesh", "mash")))
    answer = command("run", "-")
    assert answer.code == 2
    assert answer.err.startswith("fabric-sim: standard input:6:16: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "trn2-alreduce"], "did you mean trn2-allreduce?"),
        (["run", "missing.yaml"], "missing.yaml: there is no such file"),
        (["topology", "trn3_gen3"], "did you mean trn3_gen"),
        (["topology", "trn3_gen2", "--preset", "lanes16"], "--preset: unknown preset 'lanes16'; did you mean 'lanes160'?"),
        (["run", "trn2-allreduce", "--algorithm", "rng"], "--algorithm: unknown algorithm of all_reduce 'rng' (did you mean"),
        (["topology", "torus", "--set", "dims=[4,4]", "--set", "bandwidth=128"], "has no unit"),
        (["topology", "missing.json"], "No such file"),
        (["bound", "all_gather", "--topology", "trn2", "--size", "1 KiB..1 MiB x4"], "expected one size, such as '1 GiB'"),
        (["bound", "permute", "--topology", "trn2"], "permute has bytes of its own"),
        (["bound", "alltoallv", "--topology", "trn2"], "alltoallv has bytes of its own"),
        (["schedule", "all_gather", "--topology", "trn2", "--algorithm", "optimal"], "optimal has routes of its own"),
        (["schedule", "all_to_all_v", "--topology", "trn2", "--algorithm", "direct"], "follows from its matrix"),
        (["topology", "trn2", "--format", "dot", "-o", "no/such/folder.dot"], "cannot write no/such/folder.dot"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(command: Command, arguments: list[str], message: str) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert len(answer.err.splitlines()) == 1
    assert answer.out == ""


@pytest.mark.parametrize(
    ("change", "position", "message"),
    [
        (("algorithm: mesh", "algorithm: rdh\n    groups: 12"), "6:16", "rdh needs a power of two, not 12"),
        (("algorithm: mesh", "algorithm: bucket\n    groups: 8"), "6:16", "bucket needs a torus"),
        (("{builder: trn2}", "{builder: ring, n: 4, bandwidth: 1 B/s}\n    overheads: default"), "4:15", "no default alpha"),
    ],
)  # fmt: skip
def test_what_only_the_fabric_can_tell_is_located(
    command: Command, change: tuple[str, str], position: str, message: str
) -> None:
    Path("bad.yaml").write_text(SMALL.replace(*change))
    answer = command("run", "bad.yaml")
    assert answer.code == 2
    assert answer.err.startswith(f"fabric-sim: bad.yaml:{position}: ")
    assert message in answer.err


def test_all_cases_are_looked_at_before_one_is_run(command: Command) -> None:
    case = "  - {name: %s, topology: {builder: %s}, collective: all_reduce, algorithm: %s, sizes: 1 MiB}\n"
    text = "name: bad\noverheads: none\ncases:\n" + case % ("a", "trn2", "ring")
    text += (
        case % ("b", "trn3_gen2", "rdh")
        + case % ("c", "trn3_gen1", "bucket")
        + case % ("d", "switch, n: 3, bandwidth: 1 GB/s", "rdh")
    )
    Path("bad.yaml").write_text(text)
    answer = command("run", "bad.yaml")
    assert answer.code == 2
    assert answer.out == ""
    lines = answer.err.splitlines()
    assert [line.split(":")[2] for line in lines] == ["5", "6", "7"]


@pytest.mark.parametrize(
    ("routing", "builder"),
    [("trn3", "trn2"), ("cluster", "trn2"), ("dimension_order", "trn3_gen1")],
)
def test_a_rule_on_a_fabric_that_it_does_not_know_is_located(command: Command, routing: str, builder: str) -> None:
    Path("bad.yaml").write_text(SMALL.replace("{builder: trn2}", f"{{builder: {builder}}}\n    routing: {routing}"))
    answer = command("run", "bad.yaml")
    assert answer.code == 2
    assert answer.err.startswith("fabric-sim: bad.yaml:5:14: ")


def test_ranks_that_no_route_joins_are_located(command: Command) -> None:
    cut = ", ".join(f"{{cable: [0, {other}], down: true}}" for other in (1, 3, 4, 12))
    Path("cut.yaml").write_text(SMALL.replace("{builder: trn2}", f"{{builder: trn2, degrade: [{cut}]}}"))
    answer = command("run", "cut.yaml")
    assert answer.code == 2
    assert answer.err.startswith("fabric-sim: cut.yaml:4:15: no route: chip 0 -> chip 1")


def test_a_matrix_that_moves_nothing_takes_no_time(command: Command) -> None:
    fabric = "{builder: ring, n: 2, bandwidth: 1 GB/s}"
    case = f"{{name: m, topology: {fabric}, collective: alltoallv, matrix: [[1 MB, 0], [0, 0]]}}"
    Path("m.yaml").write_text(f"name: m\noverheads: none\ncases:\n  - {case}\n")
    (row,) = json.loads(command("run", "m.yaml", "--json").out)["results"]
    assert (row["time_s"], row["size_bytes"]) == (0, 1_000_000)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "a" * 5000],
        ["topology", "a" * 5000],
        ["run", "trn2-allreduce", "-o", ""],
        ["topology", "trn2", "-o", "x.json"],
        ["topology", "torus", "--set", "dims=[1,1]", "--set", "bandwidth=1 B/s", "--format", "dot", "--json"],
        ["tune", "all_to_all_v", "--topology", "trn2"],
        ["run", "--schedule", "x.xml", "--topology", "trn2", "--algorithm", "ring"],
    ],
)
def test_odd_input_is_refused(command: Command, arguments: list[str]) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_a_full_output_is_refused(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fabric", "scenarios"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("fabric-sim: No space left on device")


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_output_is_no_fault(tmp_path: Path, closed: str) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    line = f"{sys.executable} -m fabric run small.yaml {closed}>&-"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failed_run_leaves_nothing(command: Command) -> None:
    Path("bad.yaml").write_text(SMALL.replace("algorithm: mesh", "algorithm: rdh\n    groups: 12"))
    assert command("run", "bad.yaml", "-o", "out").code == 2
    assert [file.name for file in Path().iterdir()] == ["bad.yaml"]


def test_a_run_again_leaves_nothing_of_the_first(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    assert command("run", "small.yaml", "-o", "out").code == 0
    Path("out/notes.txt").write_text("mine")
    assert command("run", "small.yaml", "-o", "out", "--set", "plots=[busbw]").code == 0
    assert sorted(file.name for file in Path("out").iterdir()) == [
        "busbw.png", "links.npz", "notes.txt", "results.csv", "results.json", "scenario.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize("found", ["{}", "[]", "x", None])
def test_files_that_no_run_wrote_stay(command: Command, found: str | None) -> None:
    Path("small.yaml").write_text(SMALL)
    Path("fabric.png").write_text("mine")
    if found is not None:
        Path("results.json").write_text(found)
    assert command("run", "small.yaml", "-o", ".").code == 0
    assert Path("fabric.png").read_text() == "mine"


def test_ctrl_c_keeps_the_rows_that_were_finished(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("small.yaml").write_text(SMALL)
    whole = json.loads(command("run", "small.yaml", "--json").out)
    rows = 0

    def press(*arguments: Any, **options: Any) -> Result:
        nonlocal rows
        rows += 1
        if rows == 2:
            raise KeyboardInterrupt
        return measure(*arguments, **options)

    monkeypatch.setattr("fabric.case_run.measure", press)
    answer = command("run", "small.yaml", "-o", "out", "--json")
    assert answer.code == 130
    assert answer.err == "fabric-sim: interrupted after 1 results; out holds them, marked as partial\n"
    assert sorted(file.name for file in Path("out").iterdir()) == ["results.json", "scenario.yaml"]
    kept = json.loads(Path("out/results.json").read_text())
    assert kept == json.loads(answer.out) == {**whole, "partial": True, "results": whole["results"][:1]}
    rows = 1
    answer = command("run", "small.yaml", "-o", "other")
    assert (answer.code, answer.out, answer.err.strip()) == (130, "", "fabric-sim: interrupted, nothing was written")
    assert not Path("other").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whoever_ends_the_process_finds_no_trace(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.yaml").write_text(SMALL)
    command = [sys.executable, "-c", SLOW, "run", "slow.yaml", "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.strip() == "fabric-sim: interrupted, nothing was written"  # after the line of ^C
    assert [file.name for file in tmp_path.iterdir()] == ["slow.yaml"]


def test_a_folder_of_that_name_hides_nothing(command: Command) -> None:
    Path("trn2").mkdir()
    Path("trn2-allreduce").mkdir()
    assert command("topology", "trn2").out.startswith("# trn2")
    assert command("run", "trn2-allreduce", "--set", "sizes=1 MiB", "--algorithm", "mesh").code == 0


def test_scenarios_are_listed_with_a_line_each(command: Command) -> None:
    lines = command("scenarios").out.splitlines()
    assert {"trn2-allreduce", "torus-vs-switch", "ultracluster-allreduce"} <= {line.split()[0] for line in lines}
    assert all(len(line.split()) > 4 for line in lines)


def test_bounds_are_listed_the_binding_one_first(command: Command) -> None:
    found = json.loads(command("bound", "all_gather", "--topology", "trn2", "--json").out)
    # Each chip receives 15/16 of 1 GiB over four links of 128 GB/s.
    assert found[0]["time"] == pytest.approx(2**30 * 15 / 16 / 512e9)
    assert [one["time"] for one in found] == sorted((one["time"] for one in found), reverse=True)
    assert "injection" in command("bound", "allg", "--topology", "trn2").out.splitlines()[1]
    assert command("bound", "moe", "--topology", "trn2").code == 2


def test_schema_is_json_schema(command: Command) -> None:
    schema = json.loads(command("schema").out)
    assert {"name", "cases"} <= set(schema["required"])


def test_topology_describes(command: Command) -> None:
    out = command("topology", "trn2_ultraserver").out
    assert "64 chips" in out
    assert "neuronlink-z" in out
    facts = json.loads(command("topology", "trn2_ultraserver", "--json").out)
    assert facts["diameter"] == [6, 0]
    assert facts["mean_distance"][0] == pytest.approx(192 / 63)
    assert facts["injection"] == [640e9, 640e9]


@pytest.mark.parametrize(("form", "suffix"), [("node-link", ".json"), ("graphml", ".graphml")])
def test_an_exported_fabric_comes_back_as_ones_own(command: Command, form: str, suffix: str) -> None:
    assert command("topology", "trn2", "--format", form, "-o", f"mine{suffix}").code == 0
    Path("small.yaml").write_text(SMALL)
    Path("own.yaml").write_text(SMALL.replace("{builder: trn2}", f"{{file: mine{suffix}}}"))
    ours, own = (json.loads(command("run", name, "--json").out)["results"] for name in ("small.yaml", "own.yaml"))
    assert ours == own
    assert command("topology", f"mine{suffix}").out == command("topology", "trn2").out


def test_dot_is_written(command: Command) -> None:
    assert command("topology", "trn2", "--format", "dot").out.startswith("digraph")


def test_verify_certifies_every_epoch(command: Command) -> None:
    Path("small.yaml").write_text(SMALL)
    assert "certified max-min fair in each of" in command("run", "small.yaml", "--verify").out
    assert all(row["certified"] for row in json.loads(command("run", "small.yaml", "--verify", "--json").out)["results"])


def test_the_module_and_the_command_are_one(tmp_path: Path) -> None:
    for start in (["-m", "fabric"], ["-m", "fabric_sim"]):
        done = subprocess.run([sys.executable, *start, "--version"], capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout.startswith("fabric-sim, version ")


def test_another_package_of_the_same_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "fabric").mkdir()
    (tmp_path / "fabric" / "__init__.py").write_text("")
    launcher = Path(__file__).parents[1] / "fabric_sim.py"
    start = f"import sys, runpy; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_path({str(launcher)!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "is not that of fabricsim" in done.stderr


def test_a_small_run_imports_nothing_heavy(tmp_path: Path) -> None:
    """Every algorithm on 16 chips takes 0.4 s; scipy alone would add half of that."""
    text = SMALL.replace("all_gather", "all_reduce").replace("mesh", "auto").replace("[1 MiB, 16 MiB]", "1 MiB")
    (tmp_path / "small.yaml").write_text(text)
    start = "import sys, fabric.cli; sys.argv = ['', 'run', 'small.yaml']; fabric.cli.main(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, cwd=tmp_path, check=True)
    modules = done.stdout.splitlines()[-1]
    assert "'networkx'" in modules
    assert not [heavy for heavy in ("numba", "scipy", "matplotlib", "rich", "pandas") if f"'{heavy}'" in modules]


@pytest.mark.parametrize("heavy", ["networkx", "numpy", "numba", "scipy", "matplotlib", "pydantic", "simpy", "rich"])
def test_help_imports_nothing_heavy(heavy: str) -> None:
    start = "import sys, fabric.cli; sys.argv = ['fabric-sim', '--help']; fabric.cli.main(); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=True)
    assert f"'{heavy}'" not in done.stdout
