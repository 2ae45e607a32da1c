"""Five documents become one, and one document becomes doors."""

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.cli import main
from gate.doors import Auth, DoorError, Kind, doors
from gate.limits import AddressLimit
from gate.openapi import EITHER, MergeError, merge
from tests.openapi import wrong


def answer(ref: str | None = None) -> dict:
    content = {"application/json": {"schema": {"$ref": ref}}} if ref else {}
    return {"200": {"description": "ok", "content": content}}


def document(path, schemas, ref=None, **operation) -> dict:
    item = {"get": {"operationId": "list", "responses": answer(ref), **operation}}
    return {"paths": {path: item}, "components": {"schemas": schemas}}


FLAG, STRING, NUMBER = "#/components/schemas/Flag", {"type": "string"}, {"type": "number"}


def schemas_of(whole) -> dict:
    return whole["components"].get("schemas", {})


def ref_of(whole, path) -> str:
    content = whole["paths"][path]["get"]["responses"]["200"]["content"]
    return content["application/json"]["schema"]["$ref"]


def test_the_document_that_is_published_is_openapi():
    whole = json.loads((Path(__file__).parents[1] / "openapi.json").read_text())
    assert wrong(whole) == []


def test_what_means_the_same_is_kept_once():
    whole = merge({n: document(f"/{n}", {"Flag": STRING}, FLAG) for n in ("flags", "audit")})
    assert schemas_of(whole) == {"Flag": STRING}
    assert ref_of(whole, "/flags") == ref_of(whole, "/audit") == FLAG


def test_what_differs_is_named_after_its_service():
    whole = merge(
        {
            "flags": document("/flags", {"Flag": STRING, "Own": NUMBER}, FLAG),
            "audit": document("/audit", {"Flag": NUMBER}, FLAG),
        }
    )
    assert schemas_of(whole) == {"FlagsFlag": STRING, "Own": NUMBER, "AuditFlag": NUMBER}
    assert ref_of(whole, "/audit").endswith("/AuditFlag")


def test_what_refers_to_something_that_differs_differs_too():
    outer = {"type": "array", "items": {"$ref": FLAG}}
    whole = merge(
        {
            "flags": document(
                "/flags", {"Flag": STRING, "Page": outer}, "#/components/schemas/Page"
            ),
            "audit": document(
                "/audit", {"Flag": NUMBER, "Page": outer}, "#/components/schemas/Page"
            ),
        }
    )
    assert set(schemas_of(whole)) == {"FlagsFlag", "FlagsPage", "AuditFlag", "AuditPage"}
    assert schemas_of(whole)["AuditPage"]["items"]["$ref"].endswith("/AuditFlag")


def test_the_sources_are_left_alone():
    sources = {n: document(f"/{n}", {"Flag": {"title": n}}, FLAG) for n in ("flags", "audit")}
    before = deepcopy(sources)
    merge(sources)
    assert sources == before


def test_a_path_has_one_owner():
    with pytest.raises(MergeError, match="/same is claimed by flags and by audit"):
        merge({n: document("/same", {}) for n in ("flags", "audit")})
    with pytest.raises(MergeError, match="/health is claimed by gateway and by flags"):
        merge({"flags": document("/health", {})})


def test_an_unknown_way_in_is_refused():
    with pytest.raises(MergeError, match="basic"):
        merge({"flags": document("/a", {}, security=[{"basic": []}])})


def test_every_operation_says_who_answers_and_who_is_let_in():
    whole = merge({"flags": document("/a", {}), "audit": document("/b", {}, security=[])})
    first, second = (whole["paths"][p]["get"] for p in ("/a", "/b"))
    assert (first["x-service"], first["security"], first["tags"]) == ("flags", EITHER, ["flags"])
    assert (second["x-service"], second["security"]) == ("audit", [])
    assert first["operationId"] != second["operationId"]
    assert {"/health", "/openapi.json", "/docs"} <= set(whole["paths"])
    assert [t["name"] for t in whole["tags"]] == ["gateway", "flags", "audit"]


def test_what_is_for_operators_is_left_out():
    assert "/readyz" not in merge({"flags": document("/readyz", {})})["paths"]


def test_the_merged_document_is_valid_openapi():
    whole = merge({n: document(f"/{n}", {"Flag": {"title": n}}, FLAG) for n in ("flags", "audit")})
    assert wrong(whole) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda whole: whole.pop("info"), "'info' is a required property"),
        (lambda whole: whole["components"]["schemas"]["Flag"].update(type="flag"), "'flag'"),
        (lambda whole: whole["paths"]["/flags"]["get"].update(deprecated="no"), "'no'"),
        (lambda whole: whole["paths"].update({"/{who}": whole["paths"]["/flags"]}), "who"),
    ],
)
def test_what_is_not_openapi_is_seen(spoil, told):
    whole = merge({"flags": document("/flags", {"Flag": STRING}, FLAG)})
    spoil(whole)
    found = wrong(whole)
    assert found
    assert told in found[0]


def of(*items: tuple[str, str, dict]) -> list:
    paths: dict = {}
    for method, path, operation in items:
        paths.setdefault(path, {})[method] = {"responses": answer(), **operation}
    return doors(merge({"flags": {"paths": paths}}))


PUBLIC, KEY = {"security": []}, {"security": [{"apiKey": []}]}


def test_a_path_is_split_where_its_methods_differ():
    first, second = of(("get", "/a", PUBLIC), ("post", "/a", {}))
    assert (first.methods, first.auth, first.repeatable) == (("GET",), Auth.PUBLIC, True)
    assert (second.methods, second.auth, second.repeatable) == ((), Auth.EITHER, False)


def test_methods_that_nobody_named_meet_the_strictest_door():
    found = of(("get", "/a", {}), ("post", "/a", PUBLIC), ("put", "/a", KEY))
    (rest,) = [d for d in found if not d.methods]
    assert rest.auth is not Auth.PUBLIC
    assert [d.methods for d in found if d.auth is Auth.PUBLIC] == [("POST",)]


@pytest.mark.parametrize(
    ("security", "auth"),
    [
        ([], Auth.PUBLIC),
        ([{}], Auth.PUBLIC),
        ([{"bearer": []}, {}], Auth.PUBLIC),
        ([{"apiKey": []}], Auth.KEY),
        ([{"bearer": []}], Auth.BEARER),
        (EITHER, Auth.EITHER),
    ],
)
def test_security_says_who_is_let_in(security, auth):
    assert {d.auth for d in of(("post", "/a", {"security": security}))} == {auth}


@pytest.mark.parametrize(
    "marker",
    [
        {"x-door": "window"},
        {"x-limit": "loose"},
        {"security": [{"apiKey": [], "bearer": []}]},
    ],
)
def test_a_marker_that_is_not_known_is_refused(marker):
    with pytest.raises(DoorError):
        of(("get", "/a", marker))


def test_markers_arrive_at_the_door():
    markers = {"x-door": "stream", "x-timeout": 7, "x-limit": "strict", "x-body-limit": 9}
    door = of(("post", "/a", markers))[0]
    assert (door.kind, door.timeout, door.limit, door.large_body) == (
        Kind.STREAM,
        7,
        AddressLimit.STRICT,
        True,
    )


def test_the_most_specific_door_comes_first():
    paths = ["/a/{x}", "/a/b", "/a/{x}/c", "/a/b/{y}", "/{z}/b", "/ofrep/v1/{k}"]
    greedy = ("post", "/a/{rest}", {"x-path-greedy": True})
    found = [d.path for d in of(*(("post", p, {}) for p in paths), ("post", "/g/{r}", greedy[2]))]
    assert found[0] == "/ofrep/v1/{k}"
    assert found.index("/a/b") < found.index("/a/b/{y}") < found.index("/a/{x}/c")
    assert found.index("/a/{x}") < found.index("/{z}/b")


SEGMENT = st.text(
    st.characters(codec="ascii", categories=("L", "N"), include_characters=".-_~+"), min_size=1
)


@given(st.lists(SEGMENT, min_size=1, max_size=5), st.data())
def test_a_template_matches_its_paths_and_no_others(segments, data):
    holes = data.draw(st.sets(st.integers(0, len(segments) - 1)))
    template = "".join(
        f"/{'{p' + str(i) + '}' if i in holes else s}" for i, s in enumerate(segments)
    )
    pattern = of(("post", template, {}))[0].regex()
    path = "/" + "/".join(segments)
    assert re.fullmatch(pattern, path)
    assert re.fullmatch(pattern, path + "/")
    for other in (path + "/x", "/x" + path, path + "//", path.rpartition("/")[0] + "/"):
        assert not re.fullmatch(pattern, other)


def test_the_committed_document_is_what_the_services_say(capsys):
    assert main(["openapi", "--check"]) == 0, capsys.readouterr().out
