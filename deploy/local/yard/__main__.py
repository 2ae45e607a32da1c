"""The verbs: `python -m yard up | down | status | logs | reset | seed | migrate | backup FILE |
restore FILE | audit verify | with -- CMD`."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from yard import YardError
from yard.site import here


def main() -> int:
    """Do what was asked; trouble is told in words, without a traceback, and is exit status 1."""
    asked = _parser().parse_args()
    try:
        return asked.do(asked) or 0
    except YardError as trouble:
        print(f"\nyard: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `make status | head`: whoever read us has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="yard", description=__doc__)
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, do: object, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        return sub

    verb("up", _up, "start everything in the background; returns when all is healthy")
    verb("down", _down, "stop everything")
    verb("status", _status, "show what runs; exit status 1 unless all is healthy")
    verb("logs", _logs, "follow the logs").add_argument("name", nargs="?", default="")
    verb("reset", _reset, "stop everything and delete the data")
    verb("seed", _seed, "load demonstration data into the running platform")
    verb("migrate", _migrate, "bring the schemas of the running platform up to date").add_argument(
        "name", nargs="?", default=""
    )
    for name, do, text in (
        ("backup", _backup, "write everything that cannot be made anew into one file"),
        ("restore", _restore, "fill an empty data folder from such a file"),
    ):
        verb(name, do, text).add_argument("file", type=Path, metavar="FILE")
    throw_away = verb("with", _with, "run a command inside a platform of its own")
    throw_away.add_argument(
        "--database-only", action="store_true", help="PostgreSQL and Valkey, no services"
    )
    throw_away.add_argument("command", nargs="+", metavar="CMD")
    audit = verb(
        "audit", _audit, "check an export of the audit log: yard audit verify export.jsonl"
    )
    audit.add_argument("words", nargs=argparse.REMAINDER, metavar="verify FILE [--vkey KEY]")
    inner = verb("supervise", _supervise, "be the supervisor (started by up)")
    inner.add_argument("--port", type=int, required=True)
    inner.add_argument("--report", type=int, required=True)
    return parser


# Each verb imports what it needs: `yard status` should not pay for `yard up`.


def _up(_: argparse.Namespace) -> None:
    from yard import upkeep

    upkeep.up(here())


def _down(_: argparse.Namespace) -> None:
    from yard import upkeep

    upkeep.down(here())


def _reset(_: argparse.Namespace) -> None:
    from yard import upkeep

    upkeep.reset(here())


def _logs(asked: argparse.Namespace) -> None:
    from yard import upkeep

    upkeep.logs(here(), asked.name)


def _status(_: argparse.Namespace) -> int:
    from yard import health

    return health.status(here())


def _seed(_: argparse.Namespace) -> None:
    from yard import seed, session

    if not session.is_locked(here()):
        raise YardError("the platform is not up: `make up`")
    seed.sow(here())
    print("the demonstration flag `hello` is there, on, and evaluated")


def _migrate(asked: argparse.Namespace) -> int:
    from yard import migrate

    return migrate.migrate(here(), asked.name)


def _backup(asked: argparse.Namespace) -> None:
    from yard import backup

    backup.backup(here(), asked.file)


def _restore(asked: argparse.Namespace) -> None:
    from yard import backup

    backup.restore(here(), asked.file)


def _with(asked: argparse.Namespace) -> int:
    from yard.trial import trial

    return trial(asked.command, database_only=asked.database_only)


def _audit(asked: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "audit", *asked.words]
    if asked.words[:1] != ["verify"]:
        raise YardError("yard audit knows one word: verify")
    return subprocess.run(command, check=False).returncode


def _supervise(asked: argparse.Namespace) -> int:
    from yard import upkeep

    os.set_inheritable(asked.report, False)
    return upkeep.supervise(here(), asked.port, os.fdopen(asked.report, "w"))


if __name__ == "__main__":
    sys.exit(main())
