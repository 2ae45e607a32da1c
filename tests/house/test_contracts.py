"""The import contracts hold in the house (`lint-imports`), and each is seen to fail when it is broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BREAKS = [
    (
        "Services never import each other",
        "services/flags/flags/clients/news.py",
        "import audit.domain",
    ),
    (
        "Rooms open inwards only",
        "services/flags/flags/usecases/__init__.py",
        "import flags.store.work",
    ),
    (
        "Settings are read in main and nowhere else",
        "services/flags/flags/usecases/__init__.py",
        "import flags.settings",
    ),
    (
        "The domain touches nothing but the pure part of the chassis",
        "services/flags/flags/domain/__init__.py",
        "import chassis.db",
    ),
    (
        "Use-cases see ports, never drivers or the wire",
        "services/flags/flags/usecases/__init__.py",
        "import sqlalchemy",
    ),
    (
        "The store does not know the wire",
        "services/flags/flags/store/__init__.py",
        "import switchyard.flags.v1",
    ),
    ("The chassis carries no business", "libs/chassis/chassis/frame.py", "import flags.main"),
    ("The decision is pure and knows nobody", "libs/authz/authz/verbs.py", "import chassis.caller"),
    ("The way out knows nobody", "libs/egress/egress/guard.py", "import chassis.caller"),
    ("The pure part of the chassis is pure", "libs/chassis/chassis/facts.py", "import asyncio"),
]
SOURCES = [
    "libs/authz/authz",
    "libs/egress/egress",
    "libs/schemas/schemas",
    "libs/chassis/chassis",
    "protos/switchyard",
    *(f"services/{s}/{s}" for s in ("iam", "flags", "experiments", "audit", "compute")),
    "gateway/gate",
    "deploy/local/yard",
]


@pytest.fixture
def copy(tmp_path):
    """A copy of the production code that may be spoiled."""
    for source in SOURCES:
        there = tmp_path / source
        shutil.copytree(ROOT / source, there, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(copy):
    path = os.pathsep.join(str((copy / source).parent) for source in SOURCES)
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("contract", "path", "line"), BREAKS, ids=[b[0] for b in BREAKS])
def test_a_broken_contract_is_seen(copy, contract, path, line):
    spoiled = copy / path
    spoiled.write_text(spoiled.read_text() + f"\n{line}\n")
    told = lint(copy)
    assert told.returncode == 1, told.stdout
    assert f"{contract} BROKEN" in told.stdout


def test_every_contract_has_a_test_that_breaks_it():
    text = (ROOT / "pyproject.toml").read_text()
    names = [
        line.split('"')[1]
        for line in text[text.index("[[tool.importlinter") :].splitlines()
        if line.startswith("name = ")
    ]
    assert names == [b[0] for b in BREAKS]
