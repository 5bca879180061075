"""The command `fabric-sim`. The only module that prints and the only one that draws.

Tables go to stdout, everything else to stderr. Exit code 0: done; 1: the run failed; 2: the input is wrong; 130: interrupted,
by Ctrl-C or by whoever ends the process (SIGTERM, SIGHUP).
Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import FabricError
from .version import VERSION

if TYPE_CHECKING:
    import networkx as nx

    from .output import Staging
    from .result import Run
    from .scenario import Scenario

Work = Callable[[Callable[[str], None]], "Run"]

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def main() -> int:
    """Run the command line; the exit code."""
    _clean_up_when_ended()
    try:
        code = int(command.main(standalone_mode=False) or 0)
        if sys.stdout is not None:  # None where whoever started this has closed it
            sys.stdout.flush()
        return code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except FabricError as error:
        for line in str(error).splitlines():
            click.echo(f"fabric-sim: {line}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("fabric-sim: interrupted, nothing was written", err=True)
        return 130
    except MemoryError as error:
        click.echo(f"fabric-sim: not enough memory: {error}", err=True)
        return 1
    except BrokenPipeError:  # the reader has gone, as in `fabric-sim run ... | head`
        sys.stderr.close()
        return 1
    except OSError as error:  # a name too long for the system, an output that is full
        click.echo(f"fabric-sim: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        return 2


def _clean_up_when_ended() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does, where nobody has decided otherwise (as `nohup` has)."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


@click.group(name="fabric-sim", context_settings=CONTEXT)
@click.version_option(VERSION, prog_name="fabric-sim")
def command() -> None:
    """How long a collective takes on a fabric, which link holds it back, and how far that is from the best possible."""


@command.command()
@click.argument("scenario", required=False)
@click.option("--schedule", metavar="FILE", help="Run a schedule file (MSCCL XML and others) instead of a scenario.")
@click.option("--topology", metavar="NAME", help="With --schedule: a builder, or a file of your own.")
@click.option("--size", help="With --schedule: S of nccl-tests, such as 64MiB, or a range as in a scenario.")
@click.option("--place", metavar="RANK,RANK,...", help="With --schedule: where its ranks go; the first ones by default.")
@click.option("--compute", type=click.Choice(["file", "zero"]), help="With --schedule: its compute as it says, or none.")
@click.option("--slices", type=click.IntRange(1), help="With --schedule: into how many its transfers are cut, to pipeline.")
@click.option("-o", "--output", metavar="DIR", help="Write results.json, results.csv, links.npz, scenario.yaml, plots.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--algorithm", metavar="NAME", help="Of every case, all compares all; of the collective nodes of a trace.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Override a value of the scenario.")
@click.option("--bound", type=click.Choice(["lp"]), help="Also maximum concurrent flow as a bound, of all-to-alls.")
@click.option("--verify", is_flag=True, help="Certify max-min fairness in every epoch.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Progress line by line.")
def run(
    scenario: str | None,
    schedule: str | None,
    topology: str | None,
    size: str | None,
    place: str | None,
    compute: str | None,
    slices: int | None,
    output: str | None,
    as_json: bool,
    algorithm: str | None,
    overrides: tuple[str, ...],
    bound: str | None,
    verify: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run a SCENARIO, or a schedule file on a topology.

    A SCENARIO is the name of one that ships, a path, or - for standard input.
    """
    from .output import whole_folder
    from .report import tables
    from .runner import load, run_scenario
    from .scenario import Flag, resolved

    changes: list[str | Flag] = [*overrides, *([Flag("--verify", "verify=true")] if verify else [])]
    if bound is not None:
        changes.append(Flag("--bound", f"bound={bound}"))
    loaded: Scenario
    work: Work
    if schedule is None:
        own = {"topology": topology, "size": size, "place": place, "compute": compute, "slices": slices}
        for name, value in own.items():
            if value is not None:
                raise click.UsageError(f"--{name} goes with --schedule; for a scenario use --set")
        if scenario is None:
            raise click.UsageError("give a SCENARIO, or --schedule FILE")
        if algorithm is not None:
            changes.append(Flag("--algorithm", f"algorithm={json.dumps(algorithm)}"))
        loaded = load(scenario, changes)
        work = partial(run_scenario, loaded)
    else:
        from .schedule_file import FileRun

        if scenario is not None or topology is None:
            raise click.UsageError("--schedule needs a --topology, and no SCENARIO")
        places, computes = _ranks(place), compute != "zero"
        job = FileRun(
            schedule,
            topology,
            size,
            place=places,
            compute=computes,
            slices=slices or 1,
            algorithm=algorithm,
            overrides=changes,
        )
        loaded, work = job.scenario, job.run
    links = loaded.report.links
    with whole_folder(output, _earlier(output)) if output is not None else nullcontext() as staging:
        with _progress(quiet, verbose) as say:
            finished = _finished(work, say)
        if staging is not None:
            if schedule is None:
                staging.write("scenario.yaml", resolved(loaded))
            finished = _write(staging, finished, loaded.plots, links)
    if as_json:
        click.echo(json.dumps(finished.to_dict(links), indent=2, allow_nan=False))
    else:
        click.echo(tables(finished.results, links), nl=False)
    return _end(finished, output)


def _end(finished: Run, output: str | None) -> int:
    """The exit code of a run, and a word if it was interrupted."""
    if not finished.partial:
        return 0
    kept = "" if output is None else f"; {output} holds them, marked as partial"
    click.echo(f"fabric-sim: interrupted after {len(finished.results)} results{kept}", err=True)
    return 130


def _finished(work: Work, say: Callable[[str], None]) -> Run:
    """What came out; where it was interrupted, what had come out by then."""
    from .result import Interruption

    try:
        return work(say)
    except Interruption as stop:
        return stop.run


def _write(staging: Staging, finished: Run, plots: Sequence[str], links: int) -> Run:
    """Write results and plots; of an interrupted run nothing that cannot say that it is partial. Returns what was written."""
    from .report import link_arrays, to_csv

    if plots and not finished.partial:
        from plots import save

        try:
            save(plots, finished.results, staging.folder)
        except KeyboardInterrupt:
            finished = replace(finished, partial=True)
    if not finished.partial:
        staging.write("results.csv", to_csv(finished.results))
        staging.arrays("links.npz", link_arrays(finished.results))
    staging.write("results.json", json.dumps(finished.to_dict(links), indent=2, allow_nan=False) + "\n")
    return finished


def _earlier(folder: str) -> list[str]:
    """What an earlier run may have left in a folder; nothing where no run of this program has."""
    from .scenario.model import PLOTS

    try:
        found = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(found, dict) or not {"scenario", "version", "results"} <= set(found):
        return []
    return ["results.json", "results.csv", "links.npz", "scenario.yaml", *(f"{plot}.png" for plot in PLOTS)]


def _ranks(text: str | None) -> list[int] | None:
    """`0,2,4` as ranks."""
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--place: expected ranks such as 0,2,4, not {text!r}") from None


@command.command()
@click.argument("file")
@click.option("--slots", type=click.IntRange(1), help="Sends that a FIFO holds (NCCL: 8); without limit by default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def prove(file: str, slots: int | None, as_json: bool) -> int:
    """Prove that a schedule FILE does what its collective asks.

    Exit code 0: it does, or its collective asks nothing that is known; 1: it does not; 2: the file cannot be read.
    """
    from .formats import judge, read_schedule

    program = read_schedule(file, slots)
    judgement = judge(program)
    click.echo(json.dumps(judgement.to_dict(), indent=2) if as_json else f"{file}: {judgement}")
    for note in program.notes:
        click.echo(f"fabric-sim: {note}", err=True)
    return 0 if judgement.holds else 1


@command.command()
@click.argument("collective")
@click.option("--topology", metavar="NAME", required=True, help="A builder, or a file of your own.")
@click.option("--algorithm", metavar="NAME", required=True)
@click.option("--format", "form", type=click.Choice(["msccl", "goal"]), default="msccl", help="MSCCL XML (default) or GOAL.")
@click.option("--size", help="S of nccl-tests, for GOAL, which states bytes.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="A parameter, as topology.n=8.")
@click.option("-o", "--output", metavar="FILE", help="Where to write to; - for standard output.", default="-")
def schedule(
    collective: str, topology: str, algorithm: str, form: str, size: str | None, overrides: tuple[str, ...], output: str
) -> None:
    """Write an algorithm's schedule as a file for other programs."""
    from .output import whole_file
    from .schedule_file import written

    result = written(collective, topology, algorithm, form, size, overrides)
    for note in result.notes:
        click.echo(f"fabric-sim: {note}", err=True)
    if output == "-":
        click.echo(result.text, nl=False)
        return

    def save(path: Path) -> None:
        path.write_text(result.text, encoding="utf-8")

    whole_file(output, save)


@command.command()
@click.argument("case")
@click.option("-o", "--output", metavar="FILE", required=True, help="The npz file to write: finish, link_bytes, link_busy.")
@click.option("--tolerance", type=float, default=0.0, help="Relative change of bandwidths allowed; 0 (default) is exact.")
@click.option("--verify", is_flag=True, help="Certify max-min fairness in every epoch.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Progress line by line.")
def flows(case: str, output: str, tolerance: float, verify: bool, as_json: bool, quiet: bool, verbose: bool) -> int:
    """Run the raw flows of CASE, an npz file.

    Writes when each finished and what each link carried.
    """
    from .flow_cases import solve_file

    with _progress(quiet, verbose) as say:
        finished = solve_file(case, output, tolerance=tolerance, verify=verify, progress=say)
    click.echo(json.dumps(finished.to_dict(), indent=2, allow_nan=False) if as_json else str(finished))
    if finished.outcome.partial:
        click.echo(f"fabric-sim: interrupted; {output} holds what had happened by then, marked as partial", err=True)
        return 130
    return 0


@command.command()
@click.argument("topology")
@click.option("--preset", help="Which of the published sets of numbers.")
@click.option("--set", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter of the builder.")
@click.option("--format", "form", type=click.Choice(["node-link", "graphml", "dot"]), help="Export instead of describing.")
@click.option("-o", "--output", metavar="FILE", help="Where to export to; - for standard output.", default="-")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def topology(
    topology: str, preset: str | None, parameters: tuple[str, ...], form: str | None, output: str, as_json: bool
) -> None:
    """Describe or export a TOPOLOGY.

    A TOPOLOGY is the name of a builder, or a node-link JSON or GraphML file of your own.
    """
    from .runner import build_topology

    if form is None and output != "-":
        raise click.UsageError("-o goes with --format: node-link, graphml or dot")
    if form is not None and as_json:
        raise click.UsageError("give --json or --format, not both")
    graph = build_topology(topology, parameters, preset)
    if form is not None:
        _export(graph, form, output)
        return
    from dataclasses import asdict

    from .describe import describe, text
    from .network import Network

    facts = describe(Network(graph))
    click.echo(json.dumps(asdict(facts), indent=2) if as_json else text(facts), nl=as_json)


@command.command()
@click.argument("collective")
@click.option("--topology", required=True, metavar="NAME", help="A builder, or a file of your own.")
@click.option("--set", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter of the builder.")
@click.option("--sizes", default="1 KiB..1 GiB x4", show_default=True, help="The range of sizes, as in a scenario.")
@click.option("--nccl", metavar="FILE", help="Write the CSV of NCCL's tuner plugin too; - for standard output.")
@click.option("-o", "--output", metavar="DIR", help="Write results.json, results.csv, links.npz and the plots there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def tune(
    collective: str, topology: str, parameters: tuple[str, ...], sizes: str, nccl: str | None, output: str | None, quiet: bool
) -> int:
    """Find the fastest algorithm of a COLLECTIVE by size.

    And where one takes over from another.
    """
    from .output import whole_file, whole_folder
    from .result import Run
    from .tune import nccl_csv, text
    from .tune import tune as find

    with whole_folder(output, _earlier(output)) if output is not None else nullcontext() as staging:
        with _progress(quiet, False) as say:
            found = find(topology, collective, sizes, parameters, say)
        table = None if nccl is None else nccl_csv(found)
        finished = Run("tune", VERSION, found.rows)
        if staging is not None:
            finished = _write(staging, finished, ["latency", "busbw"], 5)
        if nccl not in (None, "-"):
            whole_file(str(nccl), lambda path: path.write_text(str(table), encoding="utf-8"))
    click.echo(text(found) if nccl != "-" else table, nl=False)
    return _end(finished, output)


@command.command()
@click.argument("collective")
@click.option("--topology", required=True, metavar="NAME", help="A builder, or a file of your own.")
@click.option("--set", "parameters", multiple=True, metavar="KEY=VALUE", help="A parameter of the builder.")
@click.option("--size", default="1 GiB", show_default=True, help="S of nccl-tests.")
@click.option("--bound", "more", type=click.Choice(["lp"]), help="Also maximum concurrent flow, of an all-to-all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def bound(
    collective: str, topology: str, parameters: tuple[str, ...], size: str, more: str | None, as_json: bool, quiet: bool
) -> None:
    """Print all lower bounds of a COLLECTIVE on a fabric.

    They are times that no schedule can beat.
    """
    from dataclasses import asdict

    from .report import bound_table
    from .runner import bounds_of

    with _progress(quiet, verbose=False) as say:
        found = bounds_of(topology, collective, size, [f"topology.{one}" for one in parameters], say if more else None)
    click.echo(json.dumps([asdict(one) for one in found], indent=2) if as_json else bound_table(found, size), nl=as_json)


@command.command()
def scenarios() -> None:
    """List the scenarios that ship."""
    from .runner import shipped

    found = shipped()
    width = max(map(len, found), default=0)
    for name, description in found.items():
        click.echo(f"{name:<{width}}  {description}")


@command.command()
@click.option("--markdown", is_flag=True, help="Print the reference of all keys, builders and algorithms instead.")
def schema(markdown: bool) -> None:
    """Print the JSON Schema of a scenario file."""
    from .scenario import reference
    from .scenario import schema as json_schema

    click.echo(reference() if markdown else json.dumps(json_schema(), indent=2), nl=not markdown)


def _export(graph: nx.DiGraph[int], form: str, output: str) -> None:
    """Write a graph in a format of `topologies.formats`, to a file or to standard output."""
    from importlib import import_module

    from .output import whole_file

    module = form.replace("-", "_")
    write = getattr(import_module(f"topologies.formats.{module}"), f"write_{module}")
    if output != "-":
        whole_file(output, lambda path: write(graph, path))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph"
        write(graph, path)
        click.echo(path.read_text(encoding="utf-8"), nl=False)


@contextmanager
def _progress(quiet: bool, verbose: bool) -> Iterator[Callable[[str], None]]:
    """Something to say what is being worked on with: a line each, one line that changes on a terminal, or nothing."""
    if verbose:
        yield lambda text: click.echo(text, err=True)
    elif quiet or sys.stderr is None or not sys.stderr.isatty():
        yield lambda text: None
    else:
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield status.update
