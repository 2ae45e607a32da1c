"""The documents tell the same story as the code."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_generated_pages_are_up_to_date():
    told = subprocess.run(
        [sys.executable, ROOT / "docs/generate.py", "--check"],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr


def test_every_link_in_the_documents_leads_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")]
    lost = []
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                lost.append(f"{page.relative_to(ROOT)}: {target}")
    assert lost == []


def test_every_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z0-9-]+)", (ROOT / "README.md").read_text()))
    assert named
    assert named - targets == set()


def test_every_decision_is_in_the_index():
    index = (ROOT / "docs/adr/README.md").read_text()
    pages = [p.name for p in (ROOT / "docs/adr").glob("0*.md")]
    assert [p for p in pages if p not in index] == []
