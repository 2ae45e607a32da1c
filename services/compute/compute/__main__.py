"""The command line: `python -m compute serve | work | migrate`."""

from chassis.serve import main
from compute.main import build
from compute.settings import Settings

if __name__ == "__main__":
    main("compute", Settings, build)
