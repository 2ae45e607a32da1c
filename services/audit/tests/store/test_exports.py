"""Exports, checked offline; retention and erasure, after which they still hold."""

import csv
import io
import json
import os
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from uuid_utils.compat import uuid7

from audit.api.rest import routers
from audit.api.verify import main as verify
from audit.clients.seal import AesVault
from audit.clients.signer import new_key, signing
from audit.domain.entry import ACTOR
from audit.domain.evidence import Forged, Verifier
from audit.domain.merkle import leaf_hash
from audit.domain.wanted import Wanted
from audit.store.work import sql_work
from audit.usecases.exporter import Exporter
from audit.usecases.keeper import Keeper
from audit.usecases.prover import Prover
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from audit.usecases.signer import Signer
from chassis.db import database
from chassis.errors import Unauthenticated
from chassis.facts import Actor, Target
from chassis.http import Wiring, rest_app
from chassis.pages import Cursors

pytestmark = pytest.mark.store
VAULT = AesVault("a secret of tests: at least 32 characters")
ALL = frozenset({"audit:read", "audit:export", "audit:admin"})


class Known:
    def __init__(self, **callers):
        self.callers = callers

    async def of(self, headers):
        try:
            return self.callers[headers.get("authorization", "")]
        except KeyError:
            raise Unauthenticated("who are you?") from None


@pytest.fixture(scope="session")
def audit_url(service_url):
    return service_url("audit")


@pytest.fixture
async def open_work(audit_url):
    async with database(audit_url, "audit") as sessions:
        yield sql_work(sessions, VAULT)


@pytest.fixture
def recorder(open_work, clock):
    return Recorder(open_work, clock, os.urandom, VAULT)


@pytest.fixture
def signer(open_work, clock):
    return Signer(open_work, VAULT, clock, "example.com/audit", new_key, signing)


@pytest.fixture
def keeper(open_work, recorder, clock):
    return Keeper(open_work, recorder, clock, uuid7)


@pytest.fixture
async def web(open_work, recorder, signer, keeper, clock, ana):
    uses = {
        Reader: Reader(open_work),
        Prover: Prover(open_work, signer),
        Exporter: Exporter(open_work, recorder, signer, clock, uuid7),
        Keeper: keeper,
    }
    callers = Known(
        ana=replace(ana, permissions=ALL),
        reader=ana,
        root=replace(ana, tenant=uuid7(), platform=True, permissions=ALL),
    )
    wiring = Wiring(identity=callers, cursors=Cursors(b"test"), uses=uses)
    app = httpx.ASGITransport(rest_app("audit", routers, wiring))
    async with httpx.AsyncClient(
        transport=app, base_url="http://audit/api/v1", headers={"authorization": "ana"}
    ) as opened:
        yield opened


@pytest.fixture
def fill(recorder, flags_service, draft):
    async def fill(count, **changed):
        drafts = [
            draft(**({"target": Target("flag", f"f-{n % 3}", f"F {n}")} | changed))
            for n in range(count)
        ]
        await recorder.append(flags_service, drafts)

    return fill


@pytest.fixture
def exported(web):
    async def exported(query=""):
        answer = await web.get(f"/audit-logs/export?{query}")
        assert answer.status_code == 200
        return answer.content.splitlines(keepends=True)

    return exported


async def test_an_export_holds_every_entry_its_own_record_and_a_checkpoint(exported, fill):
    await fill(600)
    lines = await exported()
    found = Verifier().verify(lines)
    assert (found.entries, found.size, found.erased) == (601, 601, 0)
    last = json.loads(lines[-3])["leaf"]
    assert (last["action"], last["after"]["format"]) == ("audit_log.exported", "jsonl")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("entity_id=f-1", 200),
        ("action_type=flag.created&entity_id=f-2", 200),
        ("entity_id=nothing", 0),
        ("action_type=exported", 1),
        ("to_date=2020-01-01T00:00:00Z", 0),
    ],
)
async def test_a_part_of_the_log_is_proven_too(exported, fill, query, count):
    await fill(600)
    found = Verifier().verify(await exported(query))
    assert (found.entries, found.size) == (count, 601)


class TestForgeries:
    """Whatever is done to an export is found, and the first bad entry named."""

    @pytest.fixture
    async def lines(self, exported, fill, web):
        await fill(700)
        self.vkey = (await web.get("/audit/vkey")).text
        return await exported()

    def caught(self, lines):
        with pytest.raises(Forged) as caught:
            Verifier(self.vkey).verify(lines)
        return caught.value.seq, str(caught.value)

    async def test_a_flipped_byte(self, lines):
        at = lines[37].index(b'"action":"flag') + 12
        lines[37] = lines[37][:at] + b"X" + lines[37][at + 1 :]
        assert self.caught(lines) == (37, "entry 37: its bytes were changed")

    async def test_any_flipped_byte_of_a_line(self, lines):
        for at in range(0, len(lines[20]) - 1, 7):
            bad = bytes([lines[20][at] ^ 1])
            assert self.caught([*lines[:20], lines[20][:at] + bad + lines[20][at + 1 :]])[0] in (
                20,
                0,
            )

    async def test_swapped_rows(self, lines):
        lines[50], lines[51] = lines[51], lines[50]
        assert self.caught(lines) == (50, "entry 50: entry 51 stands in its place")

    async def test_a_row_that_is_gone(self, lines):
        del lines[60]
        assert self.caught(lines)[0] == 60

    async def test_a_cut_tail(self, lines):
        assert "no checkpoint follows entry 400" in self.caught(lines[:401])[1]
        assert self.caught([*lines[:401], *lines[702:]])[0] == 401
        cut = lines[400][:100]
        assert self.caught([*lines[:400], cut]) == (400, "entry 400: the line is damaged")

    async def test_a_changed_column_that_is_personal(self, lines):
        lines[99] = lines[99].replace(b"ana@example.com", b"eve@example.com")
        assert self.caught(lines) == (99, "entry 99: what it says of its actor was changed")

    async def test_an_entry_that_was_hashed_anew(self, lines):
        """Who forges the hash beside it as well is found by the tile that the entry is in."""
        body = lines[300].partition(b'"leaf":')[2].rpartition(b',"opened":')[0]
        forged = body.replace(b"flag.created", b"flag.deleted")
        line = lines[300].replace(body, forged)
        line = line.replace(b64encode(leaf_hash(body)), b64encode(leaf_hash(forged)))
        seq, why = self.caught([*lines[:300], line, *lines[301:]])
        assert seq == 257
        assert "or one of the 255 after it" in why

    async def test_a_checkpoint_by_another_key(self, lines, monkeypatch):
        assert Verifier(self.vkey).verify(lines).entries == 701
        self.vkey = self.vkey.replace("example.com", "example.org")
        assert self.caught(lines)[0] == 0

    async def test_lines_that_are_none_of_an_export(self, lines):
        assert self.caught([*lines[:5], b'{"x":1}\n'])[0] == 5
        assert self.caught([*lines[:5], b"{\n"])[0] == 5
        assert self.caught([*lines, b'{"x":1}\n'])[1] == "something follows the checkpoint"
        assert self.caught([lines[0].replace(b'"tenant":"', b'"tenant":"x'), *lines[1:]])[0] == 1

    async def test_a_skipped_stretch_without_its_hashes(self, exported, fill, web):
        self.vkey = (await web.get("/audit/vkey")).text
        lines = await exported("entity_id=f-2")
        skipped = next(n for n, line in enumerate(lines) if line.startswith(b'{"skipped"'))
        assert self.caught([*lines[:skipped], *lines[skipped + 1 :]])[0] > 0

    async def test_the_command_says_it_and_fails(self, lines, tmp_path, capsys):
        good, bad, key = tmp_path / "good", tmp_path / "bad", tmp_path / "key"
        good.write_bytes(b"".join(lines))
        lines[50], lines[51] = lines[51], lines[50]
        bad.write_bytes(b"".join(lines))
        key.write_text(self.vkey)
        assert verify([str(good), "--vkey", str(key)]) == 0
        assert "sound: 701 entries" in capsys.readouterr().out
        assert verify([str(good)]) == 0
        assert "taken from the export itself" in capsys.readouterr().out
        assert verify([str(bad), "--vkey", self.vkey.strip()]) == 1
        assert "NOT what was logged: entry 50" in capsys.readouterr().err
        assert verify([str(tmp_path / "none")]) == 2


async def test_no_cell_of_a_table_is_a_formula(exported, fill, web):
    await fill(1, reason="=1+1", actor=Actor("api_key", "k-1", "@SUM(A1)"))
    await fill(1, reason='two\nlines, "quoted"', target=Target("flag", "f", "-2"))
    answer = await web.get("/audit-logs/export?format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["reason"] for row in rows[:2]] == ["'=1+1", 'two\nlines, "quoted"']
    assert (rows[0]["user_name"], rows[1]["entity_name"]) == ("'@SUM(A1)", "'-2")
    assert (rows[-1]["seq"], rows[-1]["id"].split("\n")[1]) == ("# checkpoint", "3")


async def test_who_may_export(web, exported, tenant):
    refused = await web.get("/audit-logs/export", headers={"authorization": "reader"})
    assert refused.status_code == 403
    for bad in ("format=xml", "user=x", "from_date=2026-01-01", "page=1"):
        assert (await web.get(f"/audit-logs/export?{bad}")).status_code == 422
    root = {"authorization": "root"}
    other = await web.get(f"/audit-logs/export?tenant_id={tenant}", headers=root)
    assert Verifier().verify(other.content.splitlines(keepends=True)).origin.endswith(str(tenant))


class TestErasure:
    async def test_a_person_is_gone_and_every_proof_holds(
        self, web, fill, exported, open_work, tenant, ana
    ):
        await fill(3)
        await fill(1, target=Target("user", "u-1", "Ana"), after={"email": "ana@example.com"})
        await fill(1, actor=Actor("user", "u-2", "bea@example.com"))
        before = (await web.get("/audit/checkpoint")).text
        first = await web.post("/audit/erasures", json={"user_id": "u-1", "reason": "asked"})
        again = await web.post("/audit/erasures", json={"user_id": "u-1"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        listed = (await web.get("/audit-logs")).json()["items"]
        erased = [one for one in listed if one["user_id"] == "u-1"]
        assert all(one["actor"]["name"] == "" and "actor" in one["erased"] for one in erased)
        assert [one["after"] for one in erased if one["entity_type"] == "user"] == [None]
        assert "ana@" not in str(listed)
        assert "bea@example.com" in str(listed)
        lines = await exported()
        found = Verifier().verify(lines)
        assert (found.entries, found.erased) == (7, 5)
        assert b"ana@" not in b"".join(lines)
        grown = await web.get(f"/audit/consistency?from={before.split()[1]}&to=7")
        assert grown.status_code == 200
        record = await web.get(first.headers["location"].removeprefix("/api/v1"))
        assert record.json()["action"] == "person.erased"
        assert (await web.get("/audit-logs?q=ana@")).json()["total"] == 0
        assert [one["user_id"] for one in (await web.get("/audit/erasures")).json()["items"]] == [
            "u-1"
        ]

    async def test_what_arrives_later_is_kept_without_the_person(
        self, web, fill, recorder, open_work, tenant
    ):
        await web.post("/audit/erasures", json={"user_id": "u-1"})
        await fill(2)
        async with open_work() as work:
            one = (
                await work.log.newest(tenant, await work.log.span(tenant, None, None), Wanted(), 1)
            )[0]
        assert (one.event.actor.name, one.erased) == ("", (ACTOR,))

    async def test_the_same_person_in_another_tenants_log_stays(self, web, fill, tenant):
        await fill(1)
        root = {"authorization": "root"}
        assert (
            await web.post("/audit/erasures", json={"user_id": "u-1"}, headers=root)
        ).status_code == 201
        assert (await web.get("/audit-logs?q=ana@")).json()["total"] == 1

    async def test_the_erased_are_counted_and_paged(self, web):
        for who in "abc":
            await web.post("/audit/erasures", json={"user_id": who})
        pages = [(await web.get(f"/audit/erasures?limit=2&page={n}")).json() for n in (1, 2, 3)]
        assert [[one["user_id"] for one in page["items"]] for page in pages] == [
            ["c", "b"],
            ["a"],
            [],
        ]
        assert [page["total"] for page in pages] == [3, 3, 3]
        after = pages[0]["next_cursor"]
        rest = (await web.get(f"/audit/erasures?limit=2&cursor={after}")).json()
        assert [one["user_id"] for one in rest["items"]] == ["a"]

    async def test_bad_requests(self, web):
        for bad in ({}, {"user_id": ""}, {"user_id": "a' OR 1"}, {"user_id": "u", "x": 1}):
            assert (await web.post("/audit/erasures", json=bad)).status_code == 422
        refused = await web.post(
            "/audit/erasures", json={"user_id": "u"}, headers={"authorization": "reader"}
        )
        assert refused.status_code == 403


class TestRetention:
    async def test_it_is_read_and_set_with_versions(self, web):
        first = await web.get("/audit/retention")
        assert (first.json()["days"], first.json()["legal_hold"]) == (None, False)
        put = await web.put(
            "/audit/retention", json={"days": 90}, headers={"if-match": first.headers["etag"]}
        )
        assert (put.status_code, put.json()["days"], put.headers["etag"]) == (200, 90, '"1"')
        stale = await web.put(
            "/audit/retention", json={"days": 1}, headers={"if-match": first.headers["etag"]}
        )
        assert (stale.status_code, stale.json()["code"]) == (412, "audit.retention_stale")
        same = await web.get("/audit/retention", headers={"if-none-match": '"1"'})
        assert same.status_code == 304
        for bad in ({"days": 0}, {"days": 10**6}, {"days": "1"}, {"legal_hold": True}, {}):
            assert (await web.put("/audit/retention", json=bad)).status_code == 422

    async def test_old_entries_go_and_their_leaves_stay(
        self, web, fill, clock, keeper, exported, signer, tenant, monkeypatch
    ):
        monkeypatch.setattr("audit.usecases.keeper.AT_ONCE", 100)
        await fill(600)
        clock.tick(86400 * 3)
        await fill(5)
        await signer.sign(tenant)
        await web.put("/audit/retention", json={"days": 2, "legal_hold": True})
        await keeper.sweep()
        assert (await web.get("/audit-logs")).json()["total"] == 606
        held = (await web.put("/audit/retention", json={"days": 2})).json()
        assert held["legal_hold"] is True  # a hold is never lifted in passing
        await web.put("/audit/retention", json={"days": 2, "legal_hold": False})
        await keeper.sweep()
        said = (await web.get("/audit-logs?limit=100&page=1")).json()
        assert said["total"] == 600 + 5 + 3 + 6 - 512
        trimmed = [one for one in said["items"] if one["action"] == "audit_log.trimmed"]
        assert trimmed[-1]["after"] == {"first": 1, "last": 100}
        assert trimmed[0]["after"]["last"] == 512
        found = Verifier().verify(await exported())
        assert (found.entries, found.size) == (said["total"] + 1, 615)
        of_one = (await web.get("/audit-logs?entity_id=f-1&page=2&limit=10")).json()
        assert of_one["total"] == len([n for n in range(512, 600) if n % 3 == 1]) + 2
        assert len(of_one["items"]) == 10
        proof = await web.get(f"/audit-logs/{of_one['items'][0]['id']}/proof")
        assert proof.status_code == 200

    async def test_nothing_goes_that_no_full_tile_keeps(
        self, web, fill, clock, keeper, tenant, signer
    ):
        await fill(10)
        clock.tick(86400 * 3)
        await signer.sign(tenant)
        await web.put("/audit/retention", json={"days": 1})
        await keeper.sweep()
        assert (await web.get("/audit-logs")).json()["total"] == 11

    async def test_the_clock_of_another_tenant_does_not_matter(self, keeper, clock):
        clock.at -= timedelta(days=1)
        assert await keeper.sweep() == 0
