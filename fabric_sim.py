"""The `fabric-sim` command starts here, outside the package `fabric`: another distribution, the SSH library, has the same
import name, and whoever is installed last overwrites the other. This module says so instead of failing in the middle."""

from __future__ import annotations

import sys

_CLASH = """fabric-sim: the import package 'fabric' is not that of fabricsim: {found}.
Another distribution (the SSH library 'fabric') has the same import name and has overwritten or hidden it.
Install fabricsim into an environment of its own:
    python -m venv sim && sim/bin/pip install fabricsim"""


def main() -> int:
    """Run the command line; the exit code."""
    try:
        import fabric
    except ImportError as error:
        print(_CLASH.format(found=error), file=sys.stderr)
        return 1
    if getattr(fabric, "DISTRIBUTION", None) != "fabricsim":
        print(_CLASH.format(found=f"found {getattr(fabric, '__file__', 'no file')}"), file=sys.stderr)
        return 1
    from fabric.cli import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
