from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from iam.domain.errors import (
    BadExpiry,
    BadInvitation,
    EmailTaken,
    InvitationClosed,
    InvitationNotFound,
    InvitationPending,
    MoreThanYouHold,
    WeakPassword,
)
from iam.domain.grant_errors import RoleAssigned, UnknownRole
from iam.usecases.invitations import Acceptance
from iam.usecases.logins import Login
from iam.usecases.roles import NewRole

NEW = "new@acme.test"


@pytest.fixture
def acme(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, acme):
    return iam.user(acme, "boss@acme.test", roles=["admin"])


@pytest.fixture
def me(boss, make):
    return make.caller(boss)


def accepting(token, make):
    return Acceptance(token=token, password=make.password, first_name="N")


async def test_whoever_accepts_has_the_role_and_is_logged_in(iam, me, make):
    made, token = await iam.invitations.create(me, NEW, "developer", None)
    assert (made.status, made.role) == ("pending", "developer")
    assert token not in repr(iam.world)
    assert (await iam.invitations.verify(token)).tenant.subdomain == "acme"
    user, tokens = await iam.invitations.accept(accepting(token, make))
    assert (user.email, user.roles, user.tenant) == (NEW, ("developer",), me.tenant)
    assert tokens.subdomain == "acme"
    assert (await iam.invitations.get(me, made.invitation.id)).status == "accepted"
    assert iam.world.actions() == [
        "invitation.created",
        "invitation.accepted",
        "user.created",
        "session.created",
    ]
    assert await iam.logins.login(Login(name=NEW, password=make.password))


async def test_every_token_that_opens_nothing_is_refused_alike(iam, me, make, acme):
    async def invited(n):
        made, token = await iam.invitations.create(me, f"{n}@acme.test", "user", None)
        return made.invitation.id, token

    _, used = await invited(1)
    await iam.invitations.accept(accepting(used, make))
    revoked_id, revoked = await invited(2)
    await iam.invitations.revoke(me, revoked_id)
    resent_id, resent = await invited(3)
    _, fresh = await iam.invitations.resend(me, resent_id)
    assert await iam.invitations.verify(fresh)
    _, expired = await invited(4)
    iam.clock.forward(days=8)
    before, said = iam.world.copy(), set()
    for token in (used, revoked, resent, expired, fresh, "unknown", ""):
        for attempt in (
            iam.invitations.verify(token),
            iam.invitations.accept(accepting(token, make)),
        ):
            with pytest.raises(BadInvitation) as refused:
                await attempt
            said.add((refused.value.detail, refused.value.code))
    assert len(said) == 1
    assert iam.world == before


async def test_nobody_invites_with_more_than_they_hold(iam, acme, make):
    chief = make.caller(iam.user(acme, "c@acme.test", roles=["org_admin"]))
    for role, fault in (("admin", MoreThanYouHold), ("emperor", UnknownRole)):
        with pytest.raises(fault):
            await iam.invitations.create(chief, NEW, role, None)
    assert iam.world.invitations == {}


async def test_an_address_is_invited_once_until_that_invitation_is_over(iam, me):
    await iam.invitations.create(me, NEW, "user", None)
    with pytest.raises(InvitationPending):
        await iam.invitations.create(me, NEW.upper(), "user", None)
    iam.clock.forward(days=8)
    await iam.invitations.create(me, NEW, "user", None)
    with pytest.raises(EmailTaken):
        await iam.invitations.create(me, "BOSS@acme.test", "user", None)
    with pytest.raises(BadExpiry):
        await iam.invitations.create(me, "x@acme.test", "user", iam.clock())


async def test_a_failed_acceptance_leaves_nothing_and_the_invitation_open(iam, me, make):
    _, token = await iam.invitations.create(me, NEW, "user", None)
    before = iam.world.copy()
    with pytest.raises(WeakPassword):
        await iam.invitations.accept(Acceptance(token=token, password="12345"))
    assert iam.world == before
    iam.user(iam.world.tenants[me.tenant], NEW)
    with pytest.raises(EmailTaken):
        await iam.invitations.accept(accepting(token, make))
    assert (await iam.invitations.verify(token)).status == "pending"


async def test_a_role_that_waits_for_somebody_cannot_be_deleted(iam, me, make):
    role = await iam.roles.create(me, NewRole(name="Keeper", permissions=["vm:read"]))
    made, token = await iam.invitations.create(me, NEW, "Keeper", None)
    with pytest.raises(RoleAssigned):
        await iam.roles.delete(me, role.id, None)
    user, _ = await iam.invitations.accept(accepting(token, make))
    assert (made.role, user.roles, user.permissions) == ("Keeper", ("Keeper",), {"vm:read"})


async def test_what_is_over_cannot_be_revoked_or_resent(iam, me, make):
    made, token = await iam.invitations.create(me, NEW, "user", None)
    await iam.invitations.accept(accepting(token, make))
    for verb in (iam.invitations.revoke, iam.invitations.resend):
        with pytest.raises(InvitationClosed):
            await verb(me, made.invitation.id)


async def test_an_expired_invitation_can_be_resent(iam, me):
    made, _ = await iam.invitations.create(me, NEW, "user", iam.clock() + timedelta(hours=1))
    iam.clock.forward(hours=2)
    assert (await iam.invitations.get(me, made.invitation.id)).status == "expired"
    again, token = await iam.invitations.resend(me, made.invitation.id)
    assert (again.status, again.invitation.version) == ("pending", 2)
    assert await iam.invitations.verify(token)


async def test_whoever_invites_an_address_anew_is_told_to_have_withdrawn_what_expired(iam, me):
    old, _ = await iam.invitations.create(me, NEW, "user", iam.clock() + timedelta(hours=1))
    iam.clock.forward(hours=2)
    new, _ = await iam.invitations.create(me, NEW, "user", None)
    told = [(fact.action, fact.target.id) for fact in iam.world.facts[-2:]]
    assert told == [
        ("invitation.revoked", str(old.invitation.id)),
        ("invitation.created", str(new.invitation.id)),
    ]


async def test_another_tenants_invitation_is_not_there(iam, me, make):
    made, _ = await iam.invitations.create(me, NEW, "user", None)
    stranger = make.caller(iam.user(iam.tenant("other"), "s@x.y", roles=["admin"]))
    for verb in (iam.invitations.get, iam.invitations.revoke, iam.invitations.resend):
        with pytest.raises(InvitationNotFound):
            await verb(stranger, made.invitation.id)
    assert (await iam.invitations.list(stranger, PageAsk())).total == 0
    assert (await iam.invitations.list(me, PageAsk())).total == 1


async def test_every_verb_asks_for_its_permission_before_it_looks(iam, acme, make):
    nobody = make.caller(iam.user(acme))
    for attempt, permission in (
        (iam.invitations.list(nobody, PageAsk()), "invitation:read"),
        (iam.invitations.get(nobody, uuid4()), "invitation:read"),
        (iam.invitations.create(nobody, "x", "y", None), "invitation:create"),
        (iam.invitations.resend(nobody, uuid4()), "invitation:update"),
        (iam.invitations.revoke(nobody, uuid4()), "invitation:delete"),
    ):
        with pytest.raises(Forbidden, match=permission):
            await attempt
