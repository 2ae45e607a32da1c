"""`python -m gate <verb>`: see cli.py."""

import sys

from gate.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
