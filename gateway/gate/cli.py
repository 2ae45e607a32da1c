"""The verbs: `python -m gate render | lint | validate | openapi | agent | run`."""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gate import agent, gather, render, run
from gate.binary import envoy
from gate.graph import Topology, load
from gate.limits import PROFILES
from gate.lint import lint_file
from gate.settings import read

ROOT = Path(__file__).parent.parent.parent
GRAPH = ROOT / "deploy" / "service-graph.yaml"


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit code."""
    options = _parser().parse_args(arguments)
    return options.verb(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gate", description="The front gate of Switchyard.")
    verbs = parser.add_subparsers(required=True)
    rendering = _verb(verbs, "render", _render, "write Envoy's configuration")
    _rendering_options(rendering)
    for name, verb in (("lint", _lint), ("validate", _validate)):
        checking = _verb(verbs, name, verb, f"{name} a configuration")
        checking.add_argument("config", type=Path, help="envoy.yaml")
    _verb(verbs, "openapi", _openapi, "merge the services' OpenAPI documents").add_argument(
        "--check", action="store_true", help="write nothing, fail if the committed file differs"
    )
    _verb(verbs, "agent", _agent, "replicate API keys from iam into the key log")
    running = _verb(verbs, "run", _run, "run Envoy; SIGTERM drains")
    running.add_argument("--config", type=Path, help="a rendered envoy.yaml; else render first")
    running.add_argument("--concurrency", type=int, default=2, help="worker threads")
    running.add_argument("--with-agent", action="store_true", help="run the agent beside it")
    _rendering_options(running)
    return parser


def _verb(
    verbs: Any,  # noqa: ANN401 - argparse keeps the type of its subparsers to itself
    name: str,
    verb: Callable[[argparse.Namespace], int],
    says: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=says)
    parser.set_defaults(verb=verb)
    return parser


def _rendering_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--graph", type=Path, default=GRAPH, help="the service graph")
    parser.add_argument("--state", type=Path, help="ports that a supervisor chose (JSON)")
    parser.add_argument("--openapi", type=Path, default=gather.OPENAPI, help="merged document")
    parser.add_argument("--out", type=Path, default=Path(".data/gateway"), help="folder to fill")
    parser.add_argument("--profile", choices=tuple(PROFILES), help="instead of SWITCHYARD_PROFILE")


def _render(options: argparse.Namespace) -> int:
    config, _ = _rendered(options)
    print(config)
    return 0


def _rendered(options: argparse.Namespace) -> tuple[Path, Topology]:
    """Write the configuration; the key log's place may be set by the environment."""
    topology = load(options.graph, options.state)
    topology = replace(topology, keylog=os.environ.get("GATE_KEYLOG_DIR", topology.keylog))
    try:
        settings = read(os.environ, options.profile, topology.urls)
    except ValueError as error:
        raise SystemExit(f"gate: {error}") from None
    document = gather.read(options.openapi)
    return render.write(document, topology, settings, options.out), topology


def _lint(options: argparse.Namespace) -> int:
    findings = lint_file(options.config)
    print("\n".join(findings) or "ok")
    return int(bool(findings))


def _validate(options: argparse.Namespace) -> int:
    command = [envoy(), "--mode", "validate", "--disable-hot-restart", "-c", str(options.config)]
    checked = subprocess.run([*command, "-l", "error"], check=False)
    return checked.returncode or _lint(options)


def _openapi(options: argparse.Namespace) -> int:
    services = [s.name for s in load(GRAPH, None).services]
    text = gather.text(gather.gather(services))
    if options.check:
        same = gather.OPENAPI.read_text() == text
        print("ok" if same else "gateway/openapi.json differs: run `python -m gate openapi`")
        return int(not same)
    gather.OPENAPI.write_text(text)
    return 0


def _agent(_: argparse.Namespace) -> int:
    asyncio.run(agent.main(os.environ))
    return 0


def _run(options: argparse.Namespace) -> int:
    config = options.config or _rendered(options)[0]
    helper = _helper() if options.with_agent else None
    return run.run(config, options.concurrency, run.patience(os.environ), helper)


def _helper() -> run.Helper:
    """The agent, and the file that says which of its logs is the current one."""
    keylog = Path(os.environ["GATE_KEYLOG_DIR"])
    return run.Helper([sys.executable, "-m", "gate", "agent"], keylog / "epoch")
