"""`python -m flags serve | work | migrate`, and `export | diff | apply` for whoever keeps flags in a file."""

import sys

from flags.api import command

if sys.argv[1:2] and sys.argv[1] in command.VERBS:
    sys.exit(command.main(sys.argv[1:]))

from chassis.serve import main
from flags.main import build
from flags.settings import Settings

main("flags", Settings, build)
