"""The secrets of one site: generated at the first start, kept in `secrets.json` (0600), gone with
`make reset`.

They are for this machine's development only. A production deployment brings its own (deploy/k8s).
"""

import json
import os
import secrets
import string
from collections.abc import Iterable
from pathlib import Path

from authz.apikeys import mint  # of all the chassis the one page that needs nothing but Python

ALPHABET = string.digits + string.ascii_letters


def api_key() -> str:
    """Return a new server-side key, in the form that iam's own keys have."""
    return mint("server")[1]


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def load(path: Path, services: Iterable[str]) -> dict[str, str]:
    """Return the secrets, generating what is missing; existing ones never change."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    makers = {
        name: _password
        for name in ("postgres", "valkey", "mesh", *(f"role_{name}" for name in services))
    }
    missing = {
        name: make() for name, make in {**makers, "api_key": api_key}.items() if name not in known
    }
    if missing:
        known |= missing
        _write(path, json.dumps(known, indent=1))
    return known


def _password() -> str:
    return _random(40)


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
