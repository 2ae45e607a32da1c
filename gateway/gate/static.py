"""What Envoy answers itself: `/openapi.json`, the pages under `/docs`, and the 404 at the end.

The reference page is Swagger UI as the wheel `fastapi-offline` carries it, so nothing is fetched from
elsewhere, under a content security policy that allows nothing from elsewhere either.
"""

import html
import importlib.util
import json
from pathlib import Path
from typing import Any

from gate import filters
from gate.doors import Auth
from gate.routes import OFF, meaning
from gate.shapes import Doc

# Every code of the platform, read off the code by docs/generate.py.
ERRORS = Path(__file__).parent.parent / "errors.json"
# Envoy keeps these bodies in memory; the largest is Swagger UI's script (1.5 MB).
LARGEST = 4 << 20
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Switchyard: API reference</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
START_SCRIPT = """window.addEventListener("load", () => {
  SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#reference",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
});
"""
ERRORS_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Switchyard: error codes</title></head>
<body><h1>Error codes</h1>
<p>Every error is a problem document (RFC 9457) with one of these codes. They are permanent.</p>
<dl>
{entries}
</dl></body>
</html>
"""


class AssetsMissing(Exception):
    """The wheel that carries Swagger UI is not installed."""


def write(document: Doc, out: Path) -> None:
    """Write the files that Envoy serves into the folder `out`."""
    assets = _assets()
    texts = {
        "openapi.json": json.dumps(document, separators=(",", ":")),
        "docs.html": DOCS_PAGE,
        "start.js": START_SCRIPT,
        "errors.html": _errors(),
        "swagger-ui.css": (assets / "swagger-ui.css").read_text(),
        "swagger-ui-bundle.js": (assets / "swagger-ui-bundle.js").read_text(),
    }
    for name, text in texts.items():
        (out / name).write_text(text)


def routes(out: Path) -> list[Doc]:
    """Return the routes for the files that `write` put there."""
    html_type, script = "text/html; charset=utf-8", "text/javascript; charset=utf-8"
    return [
        *_refused("/health"),
        *_file("/openapi.json", out / "openapi.json", "application/json"),
        *_file("/docs", out / "docs.html", html_type),
        *_file("/docs/errors", out / "errors.html", html_type),
        *_file("/docs/start.js", out / "start.js", script),
        *_file("/docs/swagger-ui.css", out / "swagger-ui.css", "text/css; charset=utf-8"),
        *_file("/docs/swagger-ui-bundle.js", out / "swagger-ui-bundle.js", script),
    ]


def nothing_here() -> Doc:
    """Return the last route: 404, without asking who is there."""
    return {
        "name": "nothing",
        "match": {"prefix": "/"},
        "direct_response": {"status": 404},
        **_open("nothing"),
    }


def _file(path: str, file: Path, media: str) -> list[Doc]:
    headers = {
        "content-type": media,
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "referrer-policy": "no-referrer",
    }
    return [
        {
            "name": path,
            "match": {"path": spelled, "headers": [_reading()]},
            "direct_response": {"status": 200, "body": {"filename": str(file)}},
            "response_headers_to_add": [
                {"header": {"key": k, "value": v}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                for k, v in headers.items()
            ],
            **_open("file"),
        }
        for spelled in (path, path + "/")
    ] + _refused(path)


def _refused(path: str) -> list[Doc]:
    """Return the routes that answer whoever does more than read a path of the gate's own."""
    allow = {"header": {"key": "allow", "value": "GET, HEAD"}}
    return [
        {
            "name": f"{path} otherwise",
            "match": {"path": spelled},
            "direct_response": {"status": 405},
            "response_headers_to_add": [allow],
            **_open("nothing"),
        }
        for spelled in (path, path + "/")
    ]


def _open(door: str) -> Doc:
    names = (
        filters.ADDRESS_RATE,
        filters.APIKEY,
        filters.JWT,
        filters.NEED_IDENTITY,
        filters.TENANT_RATE,
        filters.KEY_RATE,
        filters.GRPC_WEB,
        filters.LARGE_BODY_LIMIT,
    )
    return {
        "metadata": meaning(Auth.PUBLIC, door=door, service="gateway"),
        "typed_per_filter_config": dict.fromkeys(names, OFF),
    }


def _reading() -> Doc:
    return {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}}


def _errors() -> str:
    """Return the page that the `type` of every problem document points to."""
    known: list[dict[str, Any]] = json.loads(ERRORS.read_text())
    entries = "\n".join(
        f'<dt id="{e["code"]}">{e["status"]} <code>{e["code"]}</code></dt>'
        f"<dd>{html.escape(e['meaning'])}</dd>"
        for e in known
    )
    return ERRORS_PAGE.format(entries=entries)


def _assets() -> Path:
    spec = importlib.util.find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise AssetsMissing("fastapi-offline is not installed: its wheel carries Swagger UI")
    return Path(spec.origin).parent / "static"
