"""`python -m flags serve | work | migrate`."""

from chassis.serve import main
from flags.main import build
from flags.settings import Settings

main("flags", Settings, build)
