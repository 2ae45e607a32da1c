"""Who may do what to whose flags: owners, roles in a project, lists of a project, groups; and what others are told."""

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from flags.domain.errors import FlagNotFound
from flags.domain.flag import Change, Draft
from flags.domain.listing import Sought, Wanted
from flags.domain.place import Place
from flags.usecases.flags import Aim

CHANGES = {
    "update": lambda flags, who, aim: flags.update(who, aim, Change(flag={"name": "x"})),
    "toggle": lambda flags, who, aim: flags.toggle(who, aim),
    "enable": lambda flags, who, aim: flags.enable(who, aim),
    "delete": lambda flags, who, aim: flags.delete(who, aim),
}


@pytest.fixture
async def shop(projects, ana):
    await projects.create(ana, "shop", "Shop")
    return Place(ana.tenant, "shop", "production")


@pytest.fixture
def maker(someone, ana):
    """Somebody who may make flags and nothing else to those of others."""
    return someone(ana.tenant, "flag:create")


async def a_flag(flags, who, place, key="f"):
    made = await flags.create(who, place, Draft(key=key, name=key))
    return Aim(flag=str(made.id), place=place)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
class TestChanges:
    async def test_the_owner_may_without_a_role_for_it(self, change, flags, maker, here):
        await change(flags, maker, await a_flag(flags, maker, here))

    async def test_of_anothers_flag_the_maker_of_flags_learns_nothing(
        self, change, flags, maker, ana, here, work
    ):
        aim = await a_flag(flags, ana, here)
        with pytest.raises(FlagNotFound) as hidden:
            await change(flags, maker, aim)
        with pytest.raises(FlagNotFound) as missing:
            await change(flags, maker, Aim(flag="none", place=here))
        assert str(hidden.value).replace(aim.flag, "none") == str(missing.value)
        assert [fact.action for fact in work.facts] == ["flag.created"]

    async def test_who_may_read_it_is_told_what_is_lacking(
        self, change, flags, ana, someone, here, work
    ):
        reader = someone(ana.tenant, "flag:read", "flag:create")
        aim = await a_flag(flags, ana, here)
        with pytest.raises(Forbidden, match="Insufficient permissions: flag:"):
            await change(flags, reader, aim)
        assert len(work.facts) == 1

    async def test_a_viewer_is_refused_before_the_lookup(self, change, flags, ana, someone, here):
        viewer = someone(ana.tenant, "flag:read")
        with pytest.raises(Forbidden):
            await change(flags, viewer, Aim(flag="none", place=here))

    async def test_a_role_in_a_project_reaches_that_project(
        self, change, flags, ana, someone, here, shop
    ):
        every = ("flag:read", "flag:update", "flag:toggle", "flag:delete")
        guest = someone(ana.tenant, *every, level="project", where="shop")
        await change(flags, guest, await a_flag(flags, ana, shop))
        with pytest.raises(FlagNotFound):
            await change(flags, guest, await a_flag(flags, ana, here))

    @pytest.mark.parametrize("in_group", [False, True])
    async def test_the_list_of_a_project_reaches_its_flags(
        self, change, flags, ana, someone, here, shop, in_group
    ):
        lent = ("flag:read", "flag:update", "flag:toggle", "flag:delete")
        guest = someone(ana.tenant, where="shop", lent=lent, in_group=in_group)
        await change(flags, guest, await a_flag(flags, ana, shop))
        with pytest.raises(FlagNotFound):
            await change(flags, guest, await a_flag(flags, ana, here))

    async def test_a_role_over_one_flag_reaches_no_other(self, change, flags, ana, someone, here):
        aim, other = await a_flag(flags, ana, here), await a_flag(flags, ana, here, "g")
        every = ("flag:read", "flag:update", "flag:toggle", "flag:delete")
        keeper = someone(ana.tenant, *every, level="object", where=aim.flag)
        await change(flags, keeper, aim)
        with pytest.raises(FlagNotFound):
            await change(flags, keeper, other)


async def test_one_reads_ones_own_and_what_a_project_lends(flags, ana, someone, maker, here, shop):
    mine = await a_flag(flags, maker, here, "mine")
    theirs, lent = await a_flag(flags, ana, here), await a_flag(flags, ana, shop)
    assert (await flags.get(maker, here, mine.flag)).owner_id == maker.subject
    with pytest.raises(FlagNotFound):
        await flags.get(maker, here, theirs.flag)
    guest = someone(ana.tenant, where="shop", lent=("flag:read",))
    assert (await flags.get(guest, shop, lent.flag)).key == "f"
    with pytest.raises(FlagNotFound):
        await flags.get(guest, here, theirs.flag)


async def test_a_list_shows_all_or_ones_own(flags, ana, maker, someone, here, shop):
    for who, key in ((maker, "mine"), (ana, "theirs")):
        await a_flag(flags, who, here, key)

    async def shown(who, place, **more):
        wanted = Wanted(environment="production", **more)
        part = await flags.page(who, place, wanted, PageAsk())
        return [flag.key for flag in part.items], part.total

    assert await shown(maker, here) == (["mine"], 1)
    assert await shown(maker, here, owner_id=maker.subject) == (["mine"], 1)
    assert await shown(maker, here, owner_id=ana.subject) == ([], 0)
    assert (await shown(ana, here))[1] == 2
    guest = someone(ana.tenant, where="shop", lent=("flag:read",))
    assert await shown(guest, shop) == ([], 0)
    with pytest.raises(Forbidden):
        await shown(guest, here)


async def test_flags_are_made_where_a_role_or_a_list_lets_one(flags, ana, someone, here, shop):
    for guest in (
        someone(ana.tenant, "flag:create", level="project", where="shop"),
        someone(ana.tenant, where="shop", lent=("flag:create",)),
    ):
        await a_flag(flags, guest, shop, f"f-{guest.subject[:8]}")
        with pytest.raises(Forbidden):
            await a_flag(flags, guest, here)


async def test_projects_are_listed_as_far_as_one_may_read_them(projects, ana, someone, shop):
    guest = someone(ana.tenant, where="shop", lent=("flag:read",))
    assert [p.key for p in (await projects.page(guest, Sought(), PageAsk())).items] == ["shop"]
    assert len((await projects.page(ana, Sought(), PageAsk())).items) == 2


async def test_pages_of_projects_have_no_holes_where_some_are_not_shown(
    projects, ana, someone, shop
):
    for key in ("a", "b", "zoo"):
        await projects.create(ana, key, key.title())
    guest = someone(ana.tenant, "flag:read", level="project", where="shop")
    for ask in (PageAsk(limit=1), PageAsk(limit=1, page=1)):
        part = await projects.page(guest, Sought(), ask)
        assert ([p.key for p in part.items], part.next, part.total) == (["shop"], None, 1)
    assert (await projects.page(guest, Sought(), PageAsk(limit=1, page=2))).items == []
    assert (await projects.page(guest, Sought(key="zoo"), PageAsk())).total == 0
    assert len(await projects.environments(guest, "shop")) == 2
    with pytest.raises(Forbidden):
        await projects.environments(guest, "default")
