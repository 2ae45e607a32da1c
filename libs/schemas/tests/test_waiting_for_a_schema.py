"""`python -m schemas --wait`: yesterday's, today's and tomorrow's code in front of one schema."""

import asyncio
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from schemas.migrate import fits, migrations_of, wait

REVISION = 'revision = "{0}"\ndown_revision = {1}\n\ndef upgrade():\n    pass\n'


@pytest.fixture
def two_revisions(tmp_path: Path) -> ScriptDirectory:
    """The migrations of code that knows `first` and needs `second`."""
    (tmp_path / "versions").mkdir()
    for name, before in (("first", "None"), ("second", '"first"')):
        (tmp_path / "versions" / f"{name}.py").write_text(REVISION.format(name, before))
    return ScriptDirectory(str(tmp_path))


@pytest.mark.parametrize(
    ("revision", "enough"),
    [("", False), ("first", False), ("second", True), ("one_from_after_our_time", True)],
)
def test_code_starts_on_its_own_revision_or_a_newer_one(revision, enough, two_revisions):
    assert fits(revision, two_revisions) is enough


@pytest.mark.store
async def test_waiting_ends_at_a_schema_that_is_ready(service_url):
    url = await asyncio.to_thread(service_url, "flags")
    head = ScriptDirectory(str(migrations_of("flags"))).get_current_head()
    assert await wait("flags", url) == head


@pytest.mark.store
async def test_waiting_goes_on_while_there_is_no_schema(admin_url, capsys):
    """The administrator's database has no schema called compute before somebody migrates it."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await wait("compute", admin_url.replace("/switchyard_test", "/postgres"), pause=0.05)
    assert "compute waits for its schema" in capsys.readouterr().out


async def test_waiting_goes_on_while_no_database_answers(unused_tcp_port, capsys):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await wait("flags", f"postgresql://flags@127.0.0.1:{unused_tcp_port}/x", pause=0.05)
    assert "none to be seen yet" in capsys.readouterr().out
