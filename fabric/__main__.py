"""`python -m fabric` is the command `fabric-sim`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
