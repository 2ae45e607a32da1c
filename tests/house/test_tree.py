"""What must never be in the tree, and what must be there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Spelled in halves, so that this file does not name what it forbids.
HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry." + "npmjs",
    "npmjs" + ".com",
    "yarnpkg" + ".com",
    "crates" + ".io",
    "proxy." + "golang",
    "repo1." + "maven",
    "deb." + "debian.org",
    "archive." + "ubuntu",
]
SECRETS = re.compile(
    r"-----BEGIN (EC |RSA |OPENSSH )?PRIVATE KEY|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|xox[baprs]-[0-9A-Za-z-]{20}"
)
MACHINE = re.compile(r"(?<![\w.])/(work|root|home/[a-z]+)/")


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 4_000_000:
            try:
                yield name, path.read_text()
            except UnicodeDecodeError:
                continue


def test_nothing_names_a_package_registry():
    found = [(n, host) for n, text in tracked() for host in HOSTS if host in text]
    assert found == []


def test_requirements_are_pinned_with_hashes_and_carry_no_address():
    for name in ("run", "dev"):
        text = (ROOT / f"requirements/{name}.txt").read_text()
        pins = re.findall(r"^[A-Za-z][^\s\\]*", text, re.MULTILINE)
        assert pins
        assert all("==" in pin for pin in pins)
        assert text.count("--hash=sha256:") >= len(pins)
        assert "//" not in text


def test_nothing_names_a_path_of_the_machine_it_was_written_on():
    skipped = ("Dockerfile", ".yaml", ".yml")  # a container's own paths
    found = [n for n, text in tracked() if MACHINE.search(text) and not n.endswith(skipped)]
    assert found == []


def test_there_is_no_secret_in_the_tree():
    assert [n for n, text in tracked() if SECRETS.search(text)] == []


@pytest.mark.parametrize(
    "name",
    [
        "gateway",
        "services/iam",
        "services/flags",
        "services/experiments",
        "services/audit",
        "services/compute",
        "protos",
        "deploy/k8s",
        "docker-compose.yml",
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/glossary.md",
        "docs/errors.md",
        "docs/adr",
    ],
)
def test_the_shape_that_the_owner_asked_for_is_there(name):
    assert (ROOT / name).exists()
