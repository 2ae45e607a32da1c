"""The command line: `python -m experiments serve | work | migrate`."""

from chassis.serve import main
from experiments.main import build
from experiments.settings import Settings

if __name__ == "__main__":
    main("experiments", Settings, build)
