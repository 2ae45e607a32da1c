"""What services ask iam about callers, credentials and principals, over a real connection."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio

from authz.replica import Replica
from authz.standing import Thing
from authz.told import enter
from chassis.authority import Authority
from chassis.context import CURRENT, Asked
from chassis.identity import Identity
from chassis.rpc import Guard, as_fault, neighbour
from chassis.tokens import Verifier
from iam.api.grpc import INTERNAL, IamServicer
from iam.domain.acl import EntryDraft
from iam.domain.gitops import C, Draft, Ref
from iam.usecases.api_keys import NewKey
from iam.usecases.logins import Login
from iam.usecases.users import UserChange
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

SECRET = "m" * 32


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", username="boss", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], "ann@acme.test", username="ann", roles=["user"])


@pytest.fixture
def replica(make):
    """What iam knows of itself."""
    return Identity(Authority(), Verifier(make.issuer.name, make.issuer.audience), None)


@asynccontextmanager
async def running(*jobs):
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def stub(iam, boss, ann, replica):
    iam.clock.at = iam.clock.at.fromtimestamp(time.time(), iam.clock.at.tzinfo)
    iam.world.signing_keys.clear()
    await iam.signing.turn()
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)])
    iam_pb2_grpc.add_IamServicer_to_server(IamServicer(iam.replicas, replica, iam.hall), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with neighbour(f"127.0.0.1:{port}", "flags", SECRET) as channel:
        made = iam_pb2_grpc.IamStub(channel)
        async with running(iam.feed.run(), replica.authority.follow(made)):
            assert await replica.authority.until(lambda s: str(ann.id) in s.subjects, 5)
            yield made
    await server.stop(0)


@pytest.fixture
async def shown(iam, make):
    async def show(user):
        tokens = await iam.logins.login(Login(name=user.email, password=make.password))
        return tokens.access

    return show


@pytest.fixture
async def as_(shown):
    """Ask as somebody."""

    async def become(user):
        token = await shown(user)
        CURRENT.set(Asked(credential=("authorization", f"Bearer {token}")))

    return become


async def known(replica, iam):
    """Wait until the replica knows all that was committed."""
    async with iam.work() as work:
        epoch = await work.authority.epoch()
    assert await replica.authority.until(lambda _: replica.authority.epoch >= epoch, 5)


async def lend(iam, caller, to, slug="shop", bits=31):
    acl = (EntryDraft(bits, (to,), "flag"),)
    await iam.gitops.create(caller, C.PROJECTS, Draft(key=slug, acl=acl))


class TestCheck:
    async def test_it_answers_by_role_owner_project_and_tenant(
        self, iam, boss, ann, stub, replica, make, as_
    ):
        me = make.caller(boss)
        await iam.gitops.create(me, C.GROUPS, Draft(key="g_ops"))
        await iam.gitops.create(me, C.MEMBERSHIPS, Draft(key="u_ann::g_ops"))
        await lend(iam, me, "g_ops")
        await known(replica, iam)
        await as_(ann)
        asked = [
            ("", pb.Resource(), True),
            ("template:read", pb.Resource(), True),
            ("flag:update", pb.Resource(), False),
            ("flag:update", pb.Resource(project="shop"), True),
            ("toggle_feature_flags", pb.Resource(project="shop"), False),
            ("vm:update", pb.Resource(project="shop"), False),
            ("agent:delete", pb.Resource(owner_id=str(ann.id)), True),
            ("agent:delete", pb.Resource(owner_id=str(boss.id)), False),
            ("template:read", pb.Resource(tenant_id="another"), False),
            ("no:such", pb.Resource(), False),
        ]
        checks = [pb.CheckRequest(permission=p, resource=r) for p, r, _ in asked]
        batch = await stub.BatchCheck(pb.BatchCheckRequest(checks=checks))
        assert list(batch.allowed) == [answer for _, _, answer in asked]
        assert [(await stub.Check(one)).allowed for one in checks] == list(batch.allowed)

    async def test_its_authority_lets_another_replica_decide(
        self, iam, boss, ann, stub, replica, make, as_
    ):
        await lend(iam, make.caller(boss), "u_ann")
        await known(replica, iam)
        await as_(ann)
        told = await stub.Check(pb.CheckRequest(with_authority=True))
        other = Replica()
        for event in told.authority:
            enter(other, event)
        assert set(other.subjects) == {str(ann.id)}
        standing = other.standing(other.subjects[str(ann.id)], str(ann.tenant), None, time.time())
        assert standing.may("flag:update", Thing(project="shop"))
        assert not standing.may("flag:update")
        assert standing.permissions == ann.permissions

    async def test_others_may_be_asked_about_by_who_may_read_roles(self, iam, boss, ann, stub, as_):
        about = pb.CheckRequest(permission="flag:update", subject_id=str(boss.id))
        await as_(ann)
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Check(about)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        nobody = pb.CheckRequest(permission="flag:update", subject_id="nobody")
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Check(nobody)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        await as_(boss)
        about.subject_id = str(ann.id)
        assert not (await stub.Check(about)).allowed
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Check(nobody)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND

    async def test_an_iam_that_is_behind_itself_does_not_answer(self, ann, stub, replica, as_):
        await as_(ann)
        # A heartbeat may come in between: each look at this clock is later than it could have been.
        ahead = itertools.count(6, 6)
        replica.authority._clock = lambda: time.monotonic() + next(ahead)
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.Check(pb.CheckRequest(), timeout=1)
        assert as_fault(refused.value).code == "authority_unavailable"

    async def test_too_many_questions_are_refused(self, ann, stub, as_):
        await as_(ann)
        checks = [pb.CheckRequest(permission="flag:read")] * 1001
        with pytest.raises(aio.AioRpcError) as refused:
            await stub.BatchCheck(pb.BatchCheckRequest(checks=checks))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_explanation_says_which_grant_gave_what(ann, stub, as_):
    await as_(ann)
    resource = pb.Resource(owner_id=str(ann.id))
    told = await stub.Explain(pb.CheckRequest(permission="agent:delete", resource=resource))
    assert told.allowed
    assert list(told.contributed_by["owner"].names) == ["agent:delete"]
    told = await stub.Explain(pb.CheckRequest(permission="flag:update"))
    assert (told.allowed, list(told.would_need)) == (False, ["flag:update"])
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Explain(pb.CheckRequest(permission="no:such"))
    assert refused.value.code() in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
    )


class TestIntrospect:
    async def test_a_token_is_told_until_its_session_ends(
        self, iam, ann, stub, replica, shown, make
    ):
        token = await shown(ann)
        told = await stub.Introspect(pb.IntrospectRequest(token=token))
        assert (told.active, told.sub, told.username) == (True, str(ann.id), "ann")
        assert (told.token_type, told.tenant_id) == ("at+jwt", str(ann.tenant))
        assert told.exp.seconds > time.time()
        assert set(told.permissions) == ann.permissions
        await iam.logins.logout(await replica.of({"authorization": f"Bearer {token}"}))
        await known(replica, iam)
        told = await stub.Introspect(pb.IntrospectRequest(token=token))
        assert told == pb.IntrospectResponse(active=False)

    async def test_a_key_is_told_with_its_scope(self, iam, boss, stub, replica, make):
        key, text = await iam.keys.create(make.caller(boss), NewKey(name="k"))
        await known(replica, iam)
        told = await stub.Introspect(pb.IntrospectRequest(token=text))
        assert (told.active, told.token_type, told.scope) == (True, "api_key", "flag:evaluate")
        assert (told.client_id, told.HasField("exp")) == (str(key.id), False)

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "sy_srv_x_y"])
    async def test_of_what_does_not_hold_no_more_is_said(self, stub, token):
        told = await stub.Introspect(pb.IntrospectRequest(token=token))
        assert told == pb.IntrospectResponse(active=False)


async def test_principals_are_told_by_what_they_are_called(iam, boss, ann, stub, make):
    me = make.caller(boss)
    group = (await iam.gitops.create(me, C.GROUPS, Draft(key="g_ops"))).entity
    project = (await iam.gitops.create(me, C.PROJECTS, Draft(key="shop"))).entity
    ids = [str(ann.id), str(group.id), str(project.id), "no uuid"]
    told = await stub.ResolvePrincipals(pb.ResolvePrincipalsRequest(ids=ids))
    assert {(p.id, p.kind, p.key) for p in told.principals} == {
        (str(ann.id), "user", "u_ann"),
        (str(group.id), "group", "g_ops"),
    }
    assert {p.tenant_id for p in told.principals} == {str(ann.tenant)}
    with pytest.raises(aio.AioRpcError):
        many = pb.ResolvePrincipalsRequest(ids=[str(ann.id)] * 1001)
        await stub.ResolvePrincipals(many)


@pytest.mark.parametrize(
    ("rpc", "request_"),
    [
        ("Introspect", pb.IntrospectRequest(token="x")),
        ("ResolvePrincipals", pb.ResolvePrincipalsRequest()),
    ],
)
async def test_strangers_are_told_nothing(stub, replica, iam, rpc, request_):
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)])
    iam_pb2_grpc.add_IamServicer_to_server(IamServicer(iam.replicas, replica, iam.hall), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(aio.AioRpcError) as refused:
            await getattr(iam_pb2_grpc.IamStub(channel), rpc)(request_)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    await server.stop(0)


class TestChanges:
    """Replicas hear of whatever decides about others, in the transaction that changes it."""

    async def test_groups_and_projects_come_and_go(self, iam, boss, ann, stub, replica, make):
        me, state = make.caller(boss), replica.authority.state

        async def groups():
            await known(replica, iam)
            return replica.authority.state.groups(str(boss.tenant), str(ann.id))

        made = {}
        for key in ("g_in", "g_out"):
            made[key] = str((await iam.gitops.create(me, C.GROUPS, Draft(key=key))).entity.id)
        await iam.gitops.create(me, C.MEMBERSHIPS, Draft(key="u_ann::g_in"))
        await iam.gitops.create(me, C.MEMBERSHIPS, Draft(key="g_in::g_out"))
        assert await groups() == set(made.values())
        await iam.gitops.delete(me, Ref(C.GROUPS, "g_in"))
        assert await groups() == set()
        assert state is replica.authority.state

    async def test_the_list_of_a_project_is_told_when_it_changes(
        self, iam, boss, ann, stub, replica, make
    ):
        me = make.caller(boss)

        async def may():
            await known(replica, iam)
            state = replica.authority.state
            subject = state.subjects[str(ann.id)]
            standing = state.standing(subject, str(ann.tenant), None, time.time())
            return standing.may("flag:update", Thing(project="shop"))

        await lend(iam, me, "u_ann")
        assert await may()
        ref = Ref(C.PROJECTS, "shop")
        await iam.gitops.upsert(me, ref, Draft(acl=(EntryDraft(7, ("u_ann",)),)))
        assert not await may()
        await iam.gitops.upsert(me, ref, Draft(acl=(EntryDraft(31, ("u_ann",)),)))
        assert await may()
        await iam.gitops.delete(me, ref)
        assert not await may()
        await lend(iam, me, "u_ann")
        assert await may()

    async def test_a_disabled_account_may_nothing_at_once(
        self, iam, boss, ann, stub, replica, make
    ):
        await iam.users.update(make.caller(boss), ann.id, UserChange(fields={"active": False}))
        await known(replica, iam)
        subject = replica.authority.state.subjects[str(ann.id)]
        standing = replica.authority.state.standing(subject, str(ann.tenant), None, time.time())
        assert standing.permissions == frozenset()
