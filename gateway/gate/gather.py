"""Fetch the OpenAPI documents of the five services, by importing their routers."""

import importlib
import json
from pathlib import Path
from typing import Any

from gate.openapi import merge
from gate.shapes import Doc

OPENAPI = Path(__file__).parent.parent / "openapi.json"


def gather(services: list[str]) -> Doc:
    """Return the merged document of the services, which must be importable."""
    return merge({name: document(name) for name in services})


def document(service: str) -> Doc:
    """Return one service's OpenAPI document, from its routers mounted on the chassis."""
    rest: Any = importlib.import_module(f"{service}.api.rest")
    http: Any = importlib.import_module("chassis.http")
    app: Any = http.rest_app(service, rest.routers)
    return app.openapi()


def text(whole: Doc) -> str:
    """Return the document as it is committed: stable order, readable differences."""
    return json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(path: Path) -> Doc:
    """Return a merged document from its file."""
    return json.loads(path.read_text())
