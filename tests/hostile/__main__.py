"""`make hostile`: schemathesis against the merged OpenAPI document, through the gateway of a throw-away platform.

    make hostile                          # a few examples of each operation, from a fixed seed
    HOSTILE_EXAMPLES=50 HOSTILE_SEED=7 make hostile

Every answer is held against the document: no 5xx, no status, type of content, header or body that is not in it; what is
no good is refused, and what says it needs a credential does. 1 when something was found. Doors that never end (streams,
sockets) and those that would end the caller's own session are left out, and so are the aliases of older systems: they
are the same code.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from hashlib import sha256
from pathlib import Path

import httpx

from tests.newcomer import registration

HERE = Path(__file__).parent
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
ALIASES = ("/api/auth", "/api/organizations", "/api/agents")
ENDS_US = ("logout", "/users/me/password")
METHODS = {"get", "post", "put", "patch", "delete"}


def program() -> Path:
    """Return schemathesis, installed once in an environment of its own from pinned hashes."""
    pins = HERE / "requirements.txt"
    name = sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = Path(tempfile.gettempdir()) / f"switchyard-hostile-{name}"
    if not (home / "done").exists():
        venv.create(home, with_pip=True, clear=True)
        pip = (home / "bin/python", "-m", "pip", "install", "-q", "--require-hashes", "-r", pins)
        subprocess.run(pip, check=True)
        (home / "done").touch()
    return home / "bin/schemathesis"


def asked(document: dict) -> dict:
    """Return the document without what cannot be tried."""
    paths = {
        path: doors
        for path, doors in document["paths"].items()
        if not path.startswith(ALIASES)
        and not any(end in path for end in ENDS_US)
        and not any("x-door" in door for door in doors.values() if isinstance(door, dict))
    }
    return document | {"paths": paths}


def main() -> int:
    """Try it and return what schemathesis returned."""
    url = os.environ["SWITCHYARD_URL"]
    with httpx.Client(base_url=url, timeout=60) as web:
        made = web.post("/api/v1/organizations/register", json=registration("hostile"))
        token = made.raise_for_status().json()["access_token"]
        document = asked(web.get("/openapi.json").raise_for_status().json())
    count = sum(method in METHODS for doors in document["paths"].values() for method in doors)
    print(f"{count} operations through {url}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "openapi.json").write_text(json.dumps(document))
        shutil.copy(HERE / "schemathesis.toml", folder)
        return subprocess.run(
            [
                *(program(), "run", "openapi.json", "--url", url),
                *("--header", f"Authorization: Bearer {token}"),
                *("--checks", ",".join(CHECKS), "--phases", "fuzzing"),
                *("--max-examples", os.environ.get("HOSTILE_EXAMPLES", "4")),
                *("--seed", os.environ.get("HOSTILE_SEED", "1")),
                *("--workers", "1", "--no-shrink", "--continue-on-failure", "--warnings", "off"),
                *("--request-timeout", "30", "--suppress-health-check", "all"),
            ],
            cwd=folder,
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
