from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from flags.domain.errors import (
    EnvironmentNotFound,
    FlagKeyTaken,
    FlagNotFound,
    OtherPlace,
    ProjectNotFound,
    StaleFlag,
)
from flags.domain.flag import Change, Draft
from flags.domain.listing import Wanted
from flags.domain.place import Place, place_of
from flags.usecases.flags import Aim

DARK = Draft(key="dark-mode", name="Dark mode")


def actions(work):
    return [fact.action for fact in work.facts]


@pytest.fixture
async def flag(flags, ana, here):
    return await flags.create(ana, here, DARK)


@pytest.fixture
def aim(flag, here):
    return Aim(flag=str(flag.id), place=here)


async def test_the_smallest_flag_is_boolean_and_off_everywhere(flag, ana):
    assert (flag.type, dict(flag.variants)) == ("boolean", {"on": True, "off": False})
    assert {key: s.status for key, s in flag.switches.items()} == {
        "production": "disabled",
        "development": "disabled",
    }
    assert (flag.owner_id, flag.version, flag.project) == (ana.subject, 1, "default")


async def test_making_a_flag_leaves_a_fact_and_a_new_revision_everywhere(flag, work, here):
    [fact] = work.facts
    assert (fact.action, fact.target.type, fact.target.name) == (
        "flag.created",
        "feature_flag",
        "dark-mode",
    )
    assert fact.after["environments"]["production"]["status"] == "disabled"
    assert work.told == [(here, 1), (replace(here, environment="development"), 1)]


async def test_a_key_is_taken_once(flag, flags, ana, here, work):
    with pytest.raises(FlagKeyTaken):
        await flags.create(ana, here, DARK)
    assert actions(work) == ["flag.created"]


async def test_a_toggle_says_who_why_and_from_what_to_what(flags, ana, aim, work):
    toggled = await flags.toggle(ana, replace(aim, reason="incident 7"))
    fact = work.facts[-1]
    assert (toggled.switch("production").enabled, toggled.version) == (True, 2)
    assert not toggled.switch("development").enabled
    assert (fact.action, fact.reason, fact.actor.id) == (
        "flag.toggle_enabled",
        "incident 7",
        ana.subject,
    )
    assert fact.before == {"status": "disabled", "environment": "production"}
    assert fact.after == {"status": "enabled", "environment": "production"}


async def test_a_toggle_touches_only_its_own_environment(flags, ana, aim, work, here):
    work.told.clear()
    await flags.toggle(ana, aim)
    assert work.told == [(here, 2)]


async def test_toggling_twice_is_told_twice(flags, ana, aim, work):
    await flags.toggle(ana, aim)
    await flags.toggle(ana, aim)
    assert actions(work)[1:] == ["flag.toggle_enabled", "flag.toggle_disabled"]


async def test_enabling_what_is_enabled_is_nothing(flags, ana, aim, work):
    first = await flags.enable(ana, aim)
    again = await flags.enable(ana, aim)
    assert (again.version, actions(work)) == (
        first.version,
        ["flag.created", "flag.toggle_enabled"],
    )
    assert (await flags.disable(ana, aim)).switch("production").status == "disabled"


async def test_an_update_that_changes_nothing_is_nothing(flags, ana, aim, work):
    same = await flags.update(ana, aim, Change(flag={"name": "Dark mode"}))
    assert (same.version, actions(work)) == (1, ["flag.created"])


async def test_an_update_is_told_with_before_and_after(flags, ana, aim, work):
    await flags.update(ana, aim, Change(flag={"name": "Night"}, switch={"default_variant": "off"}))
    fact = work.facts[-1]
    assert (fact.before["name"], fact.after["name"]) == ("Dark mode", "Night")
    assert fact.after["environments"]["production"]["default_variant"] == "off"
    assert fact.after["environments"]["development"]["default_variant"] == "on"


async def test_a_change_meant_for_another_version_is_refused(flags, ana, aim, work):
    await flags.toggle(ana, aim)
    stale = replace(aim, version=1)
    for change in (
        flags.toggle(ana, stale),
        flags.enable(ana, stale),
        flags.delete(ana, stale),
        flags.update(ana, stale, Change(flag={"name": "x"})),
    ):
        with pytest.raises(StaleFlag):
            await change
    assert len(work.facts) == 2


async def test_a_deleted_flag_is_gone_and_told(flags, ana, aim, work, here):
    await flags.delete(ana, aim)
    with pytest.raises(FlagNotFound):
        await flags.get(ana, here, aim.flag)
    assert work.facts[-1].before["key"] == "dark-mode"


async def test_a_flag_is_found_by_id_and_by_key(flags, ana, here, flag):
    assert await flags.get(ana, here, "dark-mode") == await flags.get(ana, here, str(flag.id))


async def test_a_flag_of_another_tenant_cannot_be_seen(flags, ana, flag):
    bob = replace(ana, tenant=uuid4())
    there = Place(bob.tenant, "default", "production")
    with pytest.raises(FlagNotFound):
        await flags.get(bob, there, str(flag.id))
    assert (await flags.page(bob, there, Wanted(environment="production"), PageAsk())).total == 0


@pytest.mark.parametrize(
    ("verb", "permission"),
    [
        ("toggle", "flag:toggle"),
        ("enable", "flag:toggle"),
        ("disable", "flag:toggle"),
        ("delete", "flag:delete"),
    ],
)
async def test_without_the_permission_nothing_happens(verb, permission, flags, ana, aim, work):
    nobody = replace(ana, subject=str(uuid4()), permissions=ana.permissions - {permission})
    with pytest.raises(Forbidden, match=f"Insufficient permissions: {permission} required"):
        await getattr(flags, verb)(nobody, aim)
    assert len(work.facts) == 1


async def test_an_unknown_place_is_not_found(flags, ana, here):
    with pytest.raises(EnvironmentNotFound):
        await flags.create(ana, replace(here, environment="staging"), DARK)
    with pytest.raises(ProjectNotFound):
        await flags.create(ana, replace(here, project="shop"), DARK)


def test_a_bound_key_reaches_no_other_place(ana):
    key = replace(ana, environment="development", project="shop")
    assert place_of(key, None, None) == Place(ana.tenant, "shop", "development")
    with pytest.raises(OtherPlace):
        place_of(key, None, "production")
    with pytest.raises(OtherPlace):
        place_of(key, "default", None)
