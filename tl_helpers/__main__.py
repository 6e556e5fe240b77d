"""`python -m tl_helpers`: the command line."""

import sys

from tl_helpers.cli import main

if __name__ == "__main__":  # workers of a DataLoader that are spawned import this module too
    sys.exit(main())
