"""A tiny service for the yard's own tests: `python -m <name> serve`, over real HTTP.

It can be made to fail (`FAKE_BROKEN=<name>`), and knows just enough of login, flags and evaluation
for the seed to go through.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME = Path(sys.argv[0]).parent.name
FLAGS: dict[str, dict[str, object]] = {}
KEEP = Path(os.environ["SWITCHYARD_DATA"]) / "fake-flags.json"


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        return

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path in ("/readyz", "/healthz"):
            self.answer(200, {"status": "ok", "service": NAME})
        elif (
            self.path.startswith("/api/v1/feature-flags/")
            and self.headers["Authorization"] == "Bearer t"
        ):
            flag = known().get(self.path.rpartition("/")[2])
            self.answer(200 if flag else 404, flag or {})
        else:
            self.answer(404, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}")
        flags = known()
        if self.path == "/api/v1/auth/login":
            good = (body["username"], body["password"], body["tenant_subdomain"]) == (
                "root",
                "changeme",
                "platform",
            )
            self.answer(200 if good else 401, {"access_token": "t"})
        elif self.path == "/api/v1/feature-flags":
            keep({**flags, body["key"]: {**body, "status": "disabled"}})
            self.answer(201, body)
        elif self.path.endswith("/enable"):
            keep({**flags, self.path.split("/")[-2]: {"status": "enabled"}})
            self.answer(200, {})
        elif self.path.startswith("/ofrep/"):
            on = flags.get(self.path.rpartition("/")[2], {}).get("status") == "enabled"
            self.answer(200 if on and self.headers["X-API-Key"] else 404, {"value": on})


def known():
    return json.loads(KEEP.read_text()) if KEEP.exists() else {}


def keep(flags):
    KEEP.write_text(json.dumps(flags))


def main():
    prefix = NAME.upper()
    assert sys.argv[1] == "serve"
    assert f"{prefix}_ADMIN_DATABASE_URL" not in os.environ
    assert f"//{NAME}:" in os.environ[f"{prefix}_DATABASE_URL"]
    if os.environ.get("FAKE_BROKEN") == NAME:
        sys.exit("the fake is broken, as it was told")
    port = int(os.environ[f"{prefix}_HTTP_PORT"])
    ThreadingHTTPServer(("127.0.0.1", port), Door).serve_forever()


main()
