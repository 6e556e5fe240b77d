"""`python -m tl_helpers`: the command line."""

import sys

from tl_helpers.cli import main

if __name__ == "__main__":  # a DataLoader's spawned workers import this module too
    sys.exit(main())
