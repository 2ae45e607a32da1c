"""The command line: serve, work or migrate."""

from chassis.serve import main
from iam.main import build
from iam.settings import Settings

main("iam", Settings, build)
