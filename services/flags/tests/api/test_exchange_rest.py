"""Export, diff and import in REST, and the command line over them."""

import json

import httpx
import pytest
import yaml

from chassis.http import Wiring, rest_app
from flags.api import command
from flags.api.rest import routers

FLAGS = "/api/v1/feature-flags"


@pytest.fixture
def app(identity, flags, projects, segments, exchange):
    served = (flags, projects, segments, exchange)
    uses = {type(use): use for use in served}
    return rest_app("flags", routers, Wiring(identity=identity, uses=uses))


@pytest.fixture
async def web(app):
    headers = {"authorization": "Bearer ana"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://flags.test", headers=headers
    ) as client:
        made = await client.post(FLAGS, json={"key": "shop/f", "name": "Ключ", "tags": ["a"]})
        assert made.status_code == 201
        yield client


async def test_what_is_exported_is_imported_without_a_difference(web):
    said = (await web.get("/api/v1/export")).json()
    as_yaml = await web.get("/api/v1/export", params={"format": "yaml"})
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(as_yaml.text) == said
    same = await web.post("/api/v1/import", json=said, params={"prune": True})
    assert (same.status_code, same.json()) == (200, {"applied": True, "steps": []})


async def test_a_dry_run_tells_and_changes_nothing(web):
    said = (await web.get("/api/v1/export")).json()
    said["flags"][0]["name"] = "New"
    dry = (await web.post("/api/v1/import", json=said, params={"dry_run": True})).json()
    [step] = dry["steps"]
    assert (dry["applied"], step["action"]) == (False, "update")
    assert step["differences"] == [{"pointer": "/name", "before": "Ключ", "after": "New"}]
    assert (await web.get("/api/v1/export")).json()["flags"][0]["name"] == "Ключ"
    assert (await web.post("/api/v1/import", json=said)).json()["applied"] is True
    assert (await web.get("/api/v1/export")).json()["flags"][0]["name"] == "New"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"format": "other/1"}, "/format"),
        ({"surprise": 1}, "/surprise"),
        (
            {"flags": [{"key": "f", "name": "F", "variants": {"on": True}, "typo": 1}]},
            "/flags/0/typo",
        ),
        ({"flags": [{"key": "f", "name": "F"}]}, "/flags/0/variants"),
        ({"flags": [{"key": "a b", "name": "F", "variants": {"on": True}}]}, "/flags/0/key"),
    ],
)
async def test_what_is_not_known_is_refused_with_a_pointer(web, change, pointer):
    said = (await web.get("/api/v1/export")).json()
    refused = await web.post("/api/v1/import", json={**said, **change})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == pointer


STEP = {
    "kind": "flag",
    "key": "f",
    "action": "update",
    "differences": [{"pointer": "/name", "before": "A", "after": "B"}],
}


def service(answer, asked=None):
    """A service that gives this answer, and keeps what it was asked."""

    def reply(request):
        if asked is not None:
            asked.append(request)
        return answer

    return httpx.MockTransport(reply)


@pytest.fixture
def with_key(monkeypatch):
    monkeypatch.setenv("SWITCHYARD_API_KEY", "sy_key")


class TestCommand:
    def test_a_diff_is_told_in_lines_and_ends_with_one(self, with_key, tmp_path, capsys):
        answer = httpx.Response(200, json={"applied": False, "steps": [STEP]})
        asked = []
        file = tmp_path / "flags.yaml"
        file.write_text("format: switchyard.flags/1\nflags: []\n")
        assert (
            command.main(
                ["diff", str(file), "--prune", "--project", "shop"], service(answer, asked)
            )
            == 1
        )
        assert capsys.readouterr().out == '~ flag f\n    /name: "A" → "B"\n'
        [request] = asked
        assert request.headers["x-api-key"] == "sy_key"
        assert dict(request.url.params) == {"project": "shop", "dry_run": "true", "prune": "true"}
        assert json.loads(request.content)["format"] == "switchyard.flags/1"
        assert command.main(["apply", str(file)], service(answer)) == 0

    def test_a_refusal_is_told_with_its_pointers_and_ends_with_two(
        self, with_key, tmp_path, capsys
    ):
        errors = [{"pointer": "/flags/0", "message": "is wrong", "code": "x"}]
        no = httpx.Response(422, json={"detail": "no", "errors": errors})
        file = tmp_path / "flags.json"
        file.write_text("{}")
        assert command.main(["apply", str(file)], service(no)) == 2
        assert capsys.readouterr().err == "422: no\n  /flags/0: is wrong\n"
        assert command.main(["export"], service(httpx.Response(502, text="<html>"))) == 2

    def test_without_a_credential_or_a_file_it_says_so(self, monkeypatch, tmp_path, capsys):
        monkeypatch.delenv("SWITCHYARD_API_KEY", raising=False)
        monkeypatch.delenv("SWITCHYARD_TOKEN", raising=False)
        assert command.main(["export"]) == 2
        monkeypatch.setenv("SWITCHYARD_TOKEN", "t")
        assert command.main(["diff", str(tmp_path / "nothing.yaml")]) == 2
        assert "SWITCHYARD_API_KEY" in capsys.readouterr().err

    def test_an_export_is_printed(self, with_key, capsys):
        whole = service(httpx.Response(200, json={"flags": []}))
        assert command.main(["export", "--json"], whole) == 0
        assert json.loads(capsys.readouterr().out) == {"flags": []}
