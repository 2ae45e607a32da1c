import pytest

from chassis.pages import PageAsk
from flags.domain.errors import ProjectKeyTaken
from flags.domain.flag import Draft
from flags.domain.listing import Sought
from flags.domain.place import Place
from flags.usecases.homes import home


async def test_every_tenant_has_a_project_with_two_environments(projects, ana):
    listed = await projects.page(ana, Sought(), PageAsk())
    assert [p.key for p in listed.items] == ["default"]
    found = await projects.environments(ana, None)
    assert [e.key for e in found] == ["production", "development"]


async def test_flags_of_two_projects_may_have_the_same_key(projects, flags, ana, work):
    await projects.create(ana, "shop", "Shop")
    for project in ("default", "shop"):
        place = Place(ana.tenant, project, "production")
        made = await flags.create(ana, place, Draft(key="beta", name="Beta"))
        assert made.project == project
    assert work.facts[0].action == "project.created"


@pytest.mark.parametrize("key", ["shop", "default"])
async def test_a_project_key_is_taken_once(projects, ana, key):
    await projects.create(ana, "shop", "Shop")
    with pytest.raises(ProjectKeyTaken):
        await projects.create(ana, key, "Again")


async def test_whoever_is_a_moment_slower_finds_the_project_of_the_faster(work, ana, clock, new_id):
    """Between our look and our attempt somebody else makes the same project."""
    async with work() as mine:
        theirs = await home(mine, ana.tenant, "default", clock(), new_id)
        looked = iter([None, theirs])

        async def get(tenant, key, hold=None):
            return next(looked)

        mine.projects.get = get
        assert await home(mine, ana.tenant, "default", clock(), new_id) is theirs
