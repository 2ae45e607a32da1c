"""python -m audit serve | work | migrate | verify."""

import sys

from audit.api.verify import main as verify
from audit.main import build
from audit.settings import Settings
from chassis.serve import main

if sys.argv[1:2] == ["verify"]:  # needs no settings, no database and no server
    sys.exit(verify(sys.argv[2:]))
main("audit", Settings, build)
