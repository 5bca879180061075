"""The command `fabric-sim`. The only module that prints and the only one that draws.

Tables go to stdout, everything else to stderr. Exit code 0: done; 1: the run failed; 2: the input is wrong.
Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import FabricError
from .version import VERSION

if TYPE_CHECKING:
    import networkx as nx

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def main() -> int:
    """Run the command line; the exit code."""
    try:
        command.main(standalone_mode=False)
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
    except BrokenPipeError:  # the reader has gone, as in `fabric-sim run ... | head`
        sys.stderr.close()
        return 1
    return 0


@click.group(name="fabric-sim", context_settings=CONTEXT)
@click.version_option(VERSION, prog_name="fabric-sim")
def command() -> None:
    """How long a collective takes on a fabric, which link holds it back, and how far that is from the best possible."""


@command.command()
@click.argument("scenario")
@click.option("-o", "--output", metavar="DIR", help="Write results.json, results.csv, scenario.yaml and the plots there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Override a value of the scenario.")
@click.option("--verify", is_flag=True, help="Certify max-min fairness in every epoch.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="Progress line by line.")
def run(
    scenario: str, output: str | None, as_json: bool, overrides: tuple[str, ...], verify: bool, quiet: bool, verbose: bool
) -> None:
    """Run a SCENARIO: the name of one that ships, a path, or - for standard input."""
    from .output import whole_folder
    from .report import tables, to_csv
    from .runner import load, run_scenario
    from .scenario import resolved

    loaded = load(scenario, (*overrides, "verify=true") if verify else overrides)
    links = loaded.report.links
    with whole_folder(output) if output else nullcontext() as staging:
        with _progress(quiet, verbose) as say:
            finished = run_scenario(loaded, progress=say)
        if staging is not None:
            staging.write("scenario.yaml", resolved(loaded))
            staging.write("results.json", json.dumps(finished.to_dict(links), indent=2, allow_nan=False) + "\n")
            staging.write("results.csv", to_csv(finished.results))
            if loaded.plots:
                from plots import save

                save(loaded.plots, finished.results, staging.folder)
    if as_json:
        click.echo(json.dumps(finished.to_dict(links), indent=2, allow_nan=False))
    else:
        click.echo(tables(finished.results, links), nl=False)


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
    """Describe or export a TOPOLOGY: the name of a builder, or a node-link JSON or GraphML file of your own."""
    from .runner import build_topology

    graph = build_topology(topology, parameters if preset is None else (*parameters, f"preset={preset}"))
    if form is not None:
        _export(graph, form, output)
        return
    from dataclasses import asdict

    from .describe import describe, text
    from .network import Network

    facts = describe(Network(graph))
    click.echo(json.dumps(asdict(facts), indent=2) if as_json else text(facts), nl=as_json)


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
    elif quiet or not sys.stderr.isatty():
        yield lambda text: None
    else:
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield status.update
