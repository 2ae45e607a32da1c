from uuid import UUID, uuid4

import pytest

from chassis.caller import NotAPerson
from chassis.errors import Forbidden
from chassis.pages import PageAsk
from iam.domain.authority import Kind
from iam.domain.errors import SessionNotFound, UserNotFound
from iam.usecases.logins import Login


def told(iam):
    return {c.id for c in iam.world.changes if c.kind is Kind.SESSION}


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["org_admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant])


@pytest.fixture
def logs_in(iam, make):
    async def of(user):
        known = set(iam.world.sessions)
        await iam.logins.login(Login(name=user.email, password=make.password))
        (made,) = set(iam.world.sessions) - known
        return made

    return of


async def test_one_sees_and_ends_only_ones_own_sessions(iam, ann, boss, make, logs_in):
    first, second, theirs = [await logs_in(user) for user in (ann, ann, boss)]
    me = make.caller(ann)
    assert {s.id for s in (await iam.sessions.list(me, None, PageAsk())).items} == {first, second}
    assert (await iam.sessions.list(me, ann.id, PageAsk())).total == 2
    with pytest.raises(SessionNotFound):
        await iam.sessions.end(me, theirs)
    await iam.sessions.end(me, first)
    with pytest.raises(SessionNotFound):
        await iam.sessions.get(me, first)
    await iam.sessions.end_all(me, None, keep_current=False)
    assert (await iam.sessions.list(me, None, PageAsk())).total == 0
    assert told(iam) == {str(first), str(second)}


async def test_the_present_session_can_be_kept(iam, ann, make, logs_in):
    here, there = [await logs_in(ann) for _ in range(2)]
    await iam.sessions.end_all(make.caller(ann, here), None, keep_current=True)
    assert told(iam) == {str(there)}
    assert iam.world.facts[-1].target.id == str(there)


async def test_an_administrator_sees_and_ends_the_sessions_of_their_tenant(
    iam, ann, boss, make, logs_in
):
    first, second = [await logs_in(ann) for _ in range(2)]
    admin = make.caller(boss, await logs_in(boss))
    assert (await iam.sessions.list(admin, ann.id, PageAsk())).total == 2
    assert (await iam.sessions.get(admin, first)).user == ann.id
    await iam.sessions.end(admin, first)
    await iam.sessions.end_all(admin, ann.id, keep_current=True)
    assert told(iam) == {str(first), str(second)}
    assert iam.world.facts[-1].actor.id == str(boss.id)
    assert (await iam.sessions.list(admin, None, PageAsk())).total == 1


async def test_without_the_permission_nobody_asks_about_others(iam, ann, boss, make):
    for user in (boss.id, uuid4()):
        with pytest.raises(Forbidden, match="session:read"):
            await iam.sessions.list(make.caller(ann), user, PageAsk())
        with pytest.raises(Forbidden, match="session:delete"):
            await iam.sessions.end_all(make.caller(ann), user, keep_current=False)


async def test_another_tenants_sessions_are_not_there(iam, boss, make, logs_in):
    stranger = iam.user(iam.tenant("other"), "x@y.z")
    session, admin = await logs_in(stranger), make.caller(boss)
    for verb in (iam.sessions.get, iam.sessions.end):
        with pytest.raises(SessionNotFound):
            await verb(admin, session)
    with pytest.raises(UserNotFound):
        await iam.sessions.list(admin, stranger.id, PageAsk())
    with pytest.raises(UserNotFound):
        await iam.sessions.end_all(admin, stranger.id, keep_current=False)
    assert told(iam) == set()


async def test_the_platforms_administrator_reaches_every_tenant(iam, ann, make, logs_in):
    grants = (make.grant("super_admin", "platform"),)
    root = iam.user(iam.tenant("platform"), "root@x.y", grants=grants)
    session = await logs_in(ann)
    assert (await iam.sessions.get(make.caller(root), session)).user == ann.id
    await iam.sessions.end(make.caller(root), session)
    assert told(iam) == {str(session)}


async def test_a_key_sees_sessions_only_by_its_scopes(iam, ann, boss, make, logs_in):
    await logs_in(ann)
    bare = make.caller(ann, kind="api_key", permissions=frozenset())
    with pytest.raises(Forbidden):
        await iam.sessions.list(bare, None, PageAsk())
    scoped = make.caller(boss, kind="api_key", subject=str(UUID(int=7)))
    assert (await iam.sessions.list(scoped, ann.id, PageAsk())).total == 1
    assert (await iam.sessions.list(scoped, None, PageAsk())).total == 0
    with pytest.raises(NotAPerson):
        await iam.logins.logout(scoped)


async def test_who_is_disabled_loses_every_session_and_each_leaves_a_fact(
    iam, ann, boss, make, logs_in
):
    from iam.usecases.users import UserChange

    session = await logs_in(ann)
    admin = make.caller(boss, permissions=boss.permissions | ann.permissions)
    await iam.users.update(admin, ann.id, UserChange(fields={"active": False}))
    ended = iam.world.facts[-1]
    assert (ended.action, ended.target.id) == ("session.ended", str(session))
    assert ended.reason == "the account was disabled"
