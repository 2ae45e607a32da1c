"""The demonstration flag, made as anybody would make it: log in, create, switch on, through the
gateway.

Idempotent: what is there is left as it is. Marked as demonstration data in its description.
"""

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from yard import YardError, record, vault
from yard.site import Site
from yard.terms import ADMIN_PASSWORD

FLAG = "hello"
PATIENCE = 10.0


def sow(site: Site) -> None:
    """Make sure that the flag `hello` is there, on, and evaluated; YardError with the answer that
    was not expected.
    """
    base = record.read(site.state).urls["gateway"]
    key = {"X-API-Key": vault.load(site.secrets, ())["api_key"]}
    if _evaluate(base, key)[0] == 200:
        return  # without logging in: the password may have been changed since
    api = base + "/api/v1"
    password = os.environ.get("IAM_BOOTSTRAP_ADMIN_PASSWORD") or ADMIN_PASSWORD
    login = {"username": "root", "password": password, "tenant_subdomain": "platform"}
    token = _wanted(200, "POST", f"{api}/auth/login", login, {})["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    if call("GET", f"{api}/feature-flags/{FLAG}", None, bearer)[0] == 404:
        body = {
            "key": FLAG,
            "name": "Hello",
            "description": "Demonstration data, made by `make seed`.",
        }
        _wanted(201, "POST", f"{api}/feature-flags", body, bearer)
        _wanted(
            200, "POST", f"{api}/feature-flags/{FLAG}/enable", {"reason": "demonstration"}, bearer
        )
    _evaluates(base, key)


def _evaluate(base: str, key: dict[str, str]) -> tuple[int, dict[str, Any]]:
    return call("POST", f"{base}/ofrep/v1/evaluate/flags/{FLAG}", {"context": {}}, key)


def _evaluates(base: str, key: dict[str, str]) -> None:
    """Wait until the new flag has reached the evaluator (it travels by announcement)."""
    end = time.monotonic() + PATIENCE
    while True:
        status, answer = call(
            "POST", f"{base}/ofrep/v1/evaluate/flags/{FLAG}", {"context": {}}, key
        )
        if status == 200:
            return
        if time.monotonic() > end:
            raise YardError(f"it runs, but the flag {FLAG!r} is not evaluated: {status} {answer}")
        time.sleep(0.1)


def _wanted(
    status: int, method: str, url: str, body: object, headers: dict[str, str]
) -> dict[str, Any]:
    got, answer = call(method, url, body, headers)
    if got != status:
        raise YardError(
            f"it runs, but the demonstration flag was not made: {method} {url} → {got} {answer}"
        )
    return answer


def call(
    method: str, url: str, body: object, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    """Send JSON to our own gateway and return status and answer; status 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    told = {"Content-Type": "application/json", **headers}
    asked = urllib.request.Request(url, data, told, method=method)  # noqa: S310 - our own address
    # Loopback is reached directly, whatever proxy the person has.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(asked, timeout=10) as answer:
            return answer.status, _json(answer.read())
    except urllib.error.HTTPError as refusal:
        return refusal.code, _json(refusal.read())
    except OSError as trouble:
        return 0, {"detail": str(trouble)}


def _json(text: bytes) -> dict[str, Any]:
    try:
        return json.loads(text or b"{}")
    except ValueError:
        return {"detail": text[:200].decode(errors="replace")}
