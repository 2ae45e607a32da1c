"""Checkpoints, tiles and proofs of a log in PostgreSQL, through use-cases and doors."""

import os
from base64 import b64decode
from dataclasses import replace

import httpx
import pytest
from grpc import aio
from sqlalchemy import text
from uuid_utils.compat import uuid7

from audit.api.grpc import AuditServicer
from audit.api.rest import routers
from audit.clients.seal import AesVault
from audit.clients.signer import new_key, signing
from audit.domain.entry import CHECKPOINTS
from audit.domain.errors import BrokenTree
from audit.domain.merkle import grown, included, leaf_hash
from audit.domain.note import BadNote, read_checkpoint, verified
from audit.domain.tiles import root, split
from audit.main import INTERNAL
from audit.store.work import leases, sql_work
from audit.usecases.prover import Prover, Whose
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from audit.usecases.signer import Signer
from chassis.db import database, transaction
from chassis.errors import Unauthenticated
from chassis.http import Wiring, rest_app
from chassis.pages import Cursors
from chassis.rpc import Guard, neighbour
from switchyard.audit.v1 import audit_pb2 as pb
from switchyard.audit.v1 import audit_pb2_grpc

pytestmark = pytest.mark.store
SECRET = "a secret of tests: at least 32 characters"
VAULT = AesVault(SECRET)
NAME = "example.com/audit"


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
async def sessions(audit_url):
    async with database(audit_url, "audit") as opened:
        yield opened


@pytest.fixture
def open_work(sessions):
    return sql_work(sessions, VAULT)


@pytest.fixture
def recorder(open_work, clock):
    return Recorder(open_work, clock, os.urandom, VAULT)


@pytest.fixture
def signer(open_work, clock):
    return Signer(open_work, VAULT, clock, NAME, new_key, signing)


@pytest.fixture
def prover(open_work, signer):
    return Prover(open_work, signer)


@pytest.fixture
def fill(recorder, flags_service, draft):
    async def fill(count):
        drafts = [draft() for _ in range(count)]
        await recorder.append(flags_service, drafts)
        return [d.event_id for d in drafts]

    return fill


@pytest.fixture
def known(ana):
    return Known(
        ana=ana,
        eve=replace(ana, tenant=uuid7()),
        nobody=replace(ana, permissions=frozenset()),
        root=replace(ana, tenant=uuid7(), platform=True),
    )


@pytest.fixture
async def web(open_work, prover, known):
    uses = {Reader: Reader(open_work), Prover: prover}
    wiring = Wiring(identity=known, cursors=Cursors(b"test"), uses=uses)
    app = httpx.ASGITransport(rest_app("audit", routers, wiring))
    async with httpx.AsyncClient(
        transport=app, base_url="http://audit/api/v1", headers={"authorization": "ana"}
    ) as opened:
        yield opened


async def test_a_log_is_signed_once_for_each_state(signer, fill, tenant, open_work):
    await fill(3)
    first = await signer.sign(tenant)
    assert (await signer.sign(tenant)).note == first.note
    await fill(2)
    second = await signer.sign(tenant)
    assert (first.size, second.size) == (3, 5)
    state = verified(second.note, await signer.vkey(tenant))
    assert (state.origin, state.size, state.root) == (f"{NAME}/{tenant}", 5, second.root)


async def test_a_checkpoint_of_another_log_or_key_or_with_another_size_is_refused(
    signer, fill, tenant
):
    await fill(1)
    note, key = (await signer.sign(tenant)).note, await signer.vkey(tenant)
    for bad in (
        note.replace("\n1\n", "\n2\n"),
        note.replace(str(tenant), str(uuid7())),
        note.partition("\n\n")[0],
        "nonsense",
    ):
        with pytest.raises(BadNote):
            verified(bad, key)
    with pytest.raises(BadNote):
        verified(note, await signer.vkey(uuid7()))
    with pytest.raises(BadNote, match="no Ed25519"):
        verified(note, "example.com/audit+00000000+AAAA")
    with pytest.raises(BadNote):
        read_checkpoint("a\n01\nAAAA\n")


async def test_the_key_that_signs_is_the_same_for_every_process(open_work, clock, tenant, signer):
    other = Signer(open_work, VAULT, clock, NAME, new_key, signing)
    assert await other.vkey(tenant) == await signer.vkey(tenant)


async def test_every_checkpoint_is_a_leaf_of_the_log_of_checkpoints(
    signer, fill, tenant, open_work, prover, ana
):
    await fill(1)
    note = (await signer.sign(tenant)).note
    async with open_work() as work:
        edge = await work.trees.edge(CHECKPOINTS)
        last = await work.trees.tile(CHECKPOINTS, (0, (edge.size - 1) // 256))
    assert leaf_hash(note.encode()) in last
    whole = await signer.sign(CHECKPOINTS)
    assert whole.size >= edge.size
    assert read_checkpoint(whole.note).origin == f"{NAME}/checkpoints"


async def test_tiles_are_kept_when_they_are_full_and_come_to_the_root(
    signer, fill, tenant, open_work, prover, ana
):
    await fill(600)
    signed = await signer.sign(tenant)
    async with open_work() as work:
        assert [await work.trees.full(tenant, level) for level in (0, 1)] == [2, 0]
    hashes = split(await prover.tile(ana, Whose(), (1, 0), 2))
    assert [root(split(await prover.tile(ana, Whose(), (0, n)))) for n in (0, 1)] == hashes
    assert signed.size == 600


async def test_every_kind_of_place_can_be_proven_in_a_tree_of_several_tiles(
    signer, fill, tenant, prover, ana
):
    ids = await fill(600)
    signed = await signer.sign(tenant)
    for index in (0, 1, 255, 256, 511, 512, 598, 599):
        proof = await prover.proof(ana, ids[index])
        assert proof.index == index
        leaf = leaf_hash(proof.entry.body)
        assert included(leaf, index, 600, proof.hashes, signed.root)


async def test_a_log_can_be_shown_to_have_only_grown(signer, fill, tenant, prover, ana):
    states = []
    for more in (1, 2, 252, 3, 300):
        await fill(more)
        states.append(await signer.sign(tenant))
    for old in states:
        for new in states:
            if old.size <= new.size:
                proof = await prover.consistency(ana, Whose(), old.size, new.size)
                assert grown((old.size, old.root), (new.size, new.root), proof)


async def test_a_log_whose_hashes_were_changed_is_not_signed(
    signer, fill, tenant, admin_url, caplog
):
    """A superuser can switch the triggers off; the signature is what they cannot get."""
    await fill(5)
    async with database(admin_url, "audit") as superuser, transaction(superuser) as session:
        await session.execute(text("ALTER TABLE audit.entry DISABLE TRIGGER refuse_update"))
        change = "UPDATE audit.entry SET leaf = sha256('x') WHERE tenant = :t AND seq = 3"
        await session.execute(text(change), {"t": tenant})
        await session.execute(text("ALTER TABLE audit.entry ENABLE ALWAYS TRIGGER refuse_update"))
    with pytest.raises(BrokenTree):
        await signer.sign(tenant)
    await signer.sign_grown()
    assert "do not come to" in caplog.text


async def test_all_logs_that_grew_are_signed_in_turn(signer, fill, tenant, open_work):
    await fill(1)
    assert await signer.sign_grown() >= 1
    async with open_work() as work:
        assert (await work.trees.newest(tenant)).size == 1
        assert tenant not in await work.trees.unsigned()


async def test_one_process_signs_at_a_time(sessions, monkeypatch):
    name = f"signer {uuid7()}"
    assert await leases(sessions)(name)
    assert await leases(sessions)(name)
    async with transaction(sessions) as session:
        await session.execute(
            text("UPDATE audit.lease SET holder = 'other' WHERE name = :n"), {"n": name}
        )
    assert not await leases(sessions)(name)


class TestDoors:
    async def test_a_checkpoint_is_made_when_it_is_first_asked_for(self, web, fill, tenant):
        none = await web.get("/audit/checkpoint")
        assert (none.status_code, none.json()["code"]) == (404, "audit.no_checkpoint")
        await fill(2)
        note = await web.get("/audit/checkpoint")
        assert note.headers["content-type"].startswith("text/plain")
        key = (await web.get("/audit/vkey")).text
        assert verified(note.text, key).size == 2

    async def test_a_proof_stands_alone(self, web, fill):
        ids = await fill(3)
        said = (await web.get(f"/audit-logs/{ids[1]}/proof")).text
        kind, extra, index, *rest = said.split("\n")
        blank = rest.index("")
        hashes = [b64decode(line) for line in rest[:blank]]
        state = verified("\n".join(rest[blank + 1 :]), (await web.get("/audit/vkey")).text)
        leaf = b64decode(extra.removeprefix("extra "))
        assert (kind, index) == ("c2sp.org/tlog-proof@v1", "index 1")
        assert included(leaf_hash(leaf), 1, state.size, hashes, state.root)

    async def test_tiles_are_called_as_c2sp_calls_them(self, web, fill, signer, tenant):
        await fill(300)
        await signer.sign(tenant)
        full, part = await web.get("/audit/tile/0/000"), await web.get("/audit/tile/0/001.p/44")
        assert (len(full.content), len(part.content)) == (256 * 32, 44 * 32)
        assert full.headers["content-type"] == "application/octet-stream"
        assert (await web.get("/audit/tile/0/001.p/7")).content == part.content[: 7 * 32]
        for bad in (
            "0/001",
            "0/001.p/45",
            "0/1",
            "0/001.p/256",
            "0/x000/001",
            "1/001",
            "0/000/../../x",
        ):
            assert (await web.get(f"/audit/tile/{bad}")).status_code == 404
        assert (await web.get("/audit/tile/7/000")).status_code == 422

    async def test_consistency_is_shown_between_sizes_that_were(self, web, fill, signer, tenant):
        await fill(5)
        await signer.sign(tenant)
        said = await web.get("/audit/consistency?from=2&to=5")
        assert said.json()["old_size"] == 2
        assert len(said.json()["hashes"]) == 2
        for bad in ("from=5&to=2", "from=1&to=6", "from=-1&to=2", "from=1", "from=1&to=2&x=3"):
            assert (await web.get(f"/audit/consistency?{bad}")).status_code == 422

    async def test_the_platform_proves_any_log_and_others_their_own(self, web, fill, tenant):
        ids = await fill(1)
        for path in ("/audit/checkpoint", f"/audit-logs/{ids[0]}/proof", "/audit/vkey"):
            for who, tenant_id, status in (
                ("root", f"?tenant_id={tenant}", 200),
                ("eve", f"?tenant_id={tenant}", 403),
                ("nobody", "", 403),
                ("stranger", "", 401),
            ):
                asked = await web.get(f"{path}{tenant_id}", headers={"authorization": who})
                assert asked.status_code == status, (path, who)
        eve = await web.get(f"/audit-logs/{ids[0]}/proof", headers={"authorization": "eve"})
        assert eve.status_code == 404

    async def test_services_and_people_get_them_over_grpc(
        self, open_work, recorder, prover, known, fill, tenant, signer, draft
    ):
        servicer = AuditServicer(
            recorder, Reader(open_work), prover, identity=known, cursors=Cursors(b"test")
        )
        server = aio.server(interceptors=[Guard(SECRET, INTERNAL)])
        audit_pb2_grpc.add_AuditServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        ids, ana = await fill(2), (("authorization", "ana"),)
        try:
            async with neighbour(f"127.0.0.1:{port}", "flags", SECRET) as channel:
                stub = audit_pb2_grpc.AuditStub(channel)
                state = await stub.Checkpoint(pb.CheckpointRequest(), metadata=ana)
                assert verified(state.checkpoint.note, state.vkey).size == 2
                proof = await stub.Proof(pb.ProofRequest(event_id=ids[0]), metadata=ana)
                root = read_checkpoint(proof.checkpoint.note).root
                leaf = leaf_hash(proof.leaf)
                assert included(leaf, proof.index, 2, list(proof.hashes), root)
                with pytest.raises(aio.AioRpcError, match="not a UUID"):
                    await stub.Proof(pb.ProofRequest(event_id="x"), metadata=ana)
        finally:
            await server.stop(0)

    async def test_what_is_appended_is_answered_with_the_newest_checkpoint(
        self, recorder, fill, signer, tenant
    ):
        await fill(1)
        assert recorder.note(tenant) == ""
        signed = await signer.sign(tenant)
        await fill(1)
        assert recorder.note(tenant) == signed.note
