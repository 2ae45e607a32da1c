"""python -m audit serve | work | migrate."""

from audit.main import build
from audit.settings import Settings
from chassis.serve import main

main("audit", Settings, build)
