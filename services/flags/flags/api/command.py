"""The command line of whoever keeps flags in a file: `python -m flags export | diff | apply`.

It speaks to the public REST API, with an access token or else an API key from the environment (`SWITCHYARD_TOKEN`,
`SWITCHYARD_API_KEY`); a file is JSON or YAML. `diff` ends with 1 if anything differs, all of them with 2 if
something is wrong.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

VERBS = ("export", "diff", "apply")
DIFFERS, WRONG = 1, 2
PATIENCE = 60.0


def main(arguments: Sequence[str], transport: httpx.BaseTransport | None = None) -> int:
    """Do what the command line says; return how it ends. `transport` carries it elsewhere than over the network."""
    asked = _asked(arguments)
    try:
        with httpx.Client(
            base_url=asked.url, headers=_credential(), timeout=PATIENCE, transport=transport
        ) as web:
            return _export(web, asked) if asked.verb == "export" else _bring(web, asked)
    except (OSError, httpx.HTTPError, ValueError, yaml.YAMLError) as wrong:
        sys.stderr.write(f"{wrong}\n")
        return WRONG


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="flags", description="Keep the flags of a project in a file."
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, help_ in (
        ("export", "print the project as one document"),
        ("diff", "print what it would take for the project to be as a file says"),
        ("apply", "have the project as a file says"),
    ):
        own = verbs.add_parser(verb, help=help_)
        own.add_argument("--url", default="http://127.0.0.1:8080", help="where the gateway is")
        own.add_argument("--project", default="default")
        if verb == "export":
            own.add_argument("--json", action="store_true", help="instead of YAML")
        else:
            own.add_argument("file", help="a document in JSON or YAML; - for the standard input")
            own.add_argument("--prune", action="store_true", help="delete what it does not name")
    return parser.parse_args(arguments)


def _credential() -> dict[str, str]:
    if token := os.environ.get(
        "SWITCHYARD_TOKEN"
    ):  # a person says more than a key that lies around
        return {"authorization": f"Bearer {token}"}
    if key := os.environ.get("SWITCHYARD_API_KEY"):
        return {"x-api-key": key}
    raise ValueError("set SWITCHYARD_API_KEY or SWITCHYARD_TOKEN")


def _export(web: httpx.Client, asked: argparse.Namespace) -> int:
    params = {"project": asked.project, "format": "json" if asked.json else "yaml"}
    answer = web.get("/api/v1/export", params=params)
    if answer.is_error:
        return _refused(answer)
    sys.stdout.write(answer.text if not asked.json else _pretty(answer.json()))
    return 0


def _bring(web: httpx.Client, asked: argparse.Namespace) -> int:
    dry = asked.verb == "diff"
    params = {"project": asked.project, "dry_run": dry, "prune": asked.prune}
    answer = web.post("/api/v1/import", params=params, json=document_in(asked.file))
    if answer.is_error:
        return _refused(answer)
    steps = answer.json()["steps"]
    sys.stdout.write("".join(f"{line}\n" for step in steps for line in told(step)))
    return DIFFERS if dry and steps else 0


def document_in(file: str) -> Any:  # noqa: ANN401 - a document is anything until the service has read it
    """Return the document in a file (`-`: the standard input). JSON is YAML as well; ValueError if it is neither."""
    text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    return yaml.safe_load(text)


def told(step: dict[str, Any]) -> list[str]:
    """Return one step in lines: what is done to what, and where it differs."""
    marks = {"create": "+", "update": "~", "delete": "-"}
    lines = [f"{marks[step['action']]} {step['kind']} {step['key']}"]
    if step["action"] == "update":
        lines += [
            f"    {d['pointer']}: {json.dumps(d['before'])} → {json.dumps(d['after'])}"
            for d in step["differences"]
        ]
    return lines


def _refused(answer: httpx.Response) -> int:
    said = _problem(answer)
    sys.stderr.write(f"{answer.status_code}: {said.get('detail', answer.text[:500])}\n")
    for error in said.get("errors") or ():
        sys.stderr.write(f"  {error['pointer']}: {error['message']}\n")
    return WRONG


def _problem(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}  # type: ignore[reportUnknownVariableType]


def _pretty(said: object) -> str:
    return json.dumps(said, ensure_ascii=False, indent=2) + "\n"
