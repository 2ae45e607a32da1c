"""How long and how strong a fault is: as the table says with `make faults FULL=1`, else as short as still tells."""

import os

FULL = bool(os.environ.get("SWITCHYARD_FULL"))


def length(short, full):
    """Return the number of this run."""
    return full if FULL else short


def shorter(why):
    """Return what `partly` says of a fault that was not of its full length in this run."""
    return "" if FULL else why
