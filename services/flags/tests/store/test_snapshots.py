"""Snapshots on disk: whole or refused, closed to others, the one before kept; and what a replica makes of them."""

import contextlib
import resource
import stat
from dataclasses import replace
from uuid import uuid4

import orjson
import pytest

from authz.replica import ApiKey
from chassis.authority import Authority
from chassis.errors import Unavailable
from flags.domain.compile import StoredSegment
from flags.domain.flag import Draft
from flags.domain.place import Place
from flags.domain.ruleset import Stored
from flags.ports.serving import Reading
from flags.store.sealed import POISONED
from flags.store.snapshots import Folder
from flags.usecases.flags import Aim, Flags
from flags.usecases.keyring import Keyring
from flags.usecases.rulesets import STALE, Rulesets

PLACE = Place(uuid4(), "default", "production")


def stored(key="f", **said):
    whole = {"type": "boolean", "variants": {"on": True, "off": False}, "enabled": True}
    names = {"default_variant": "on", "off_variant": "off", "client_side": False}
    return Stored(key=key, **{**whole, **names, **said})


def reading(revision=1, *rows):
    segment = StoredSegment(
        key="s", document={"attribute": "targetingKey"}, included=["é", "b"], excluded=[]
    )
    return Reading(revision, list(rows) or [stored()], [segment])


def key(**said):
    plain = {"id": "k", "tenant": str(PLACE.tenant), "kind": "server", "environment": "production"}
    more = {"project": "default", "scopes": frozenset({"flag:evaluate"}), "expires": None}
    whole = {"hash": "ab" * 32, "subject": "", "name": "a key", **plain, **more, **said}
    return ApiKey(**whole)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "flags", clock=lambda: 1000.0)


@contextlib.contextmanager
def full_disk():
    """No file of this process can take a byte more."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_tears_no_file(folder):
    """What cannot be written is said (OSError), and what was there before is there afterwards, byte for byte."""
    folder.keep(PLACE, reading(1))
    folder.keep_keys([key()], [], 1000.0)
    folder.confirm()
    before = {path.name: path.read_bytes() for path in folder._folder.iterdir()}
    with full_disk():
        for write in (
            lambda: folder.keep(PLACE, reading(2)),
            lambda: folder.keep_keys([], [], 2000.0),
            folder.confirm,
        ):
            with pytest.raises(OSError, match="large"):
                write()
    after = {path.name: path.read_bytes() for path in folder._folder.iterdir()}
    assert before == {name: content for name, content in after.items() if ".part" not in name}
    folder.keep(PLACE, reading(2))
    folder.confirm()
    (recalled,) = folder.recall()
    assert recalled.reading.revision == 2


def files(tmp_path, end=".place"):
    return sorted(p for p in (tmp_path / "flags").iterdir() if p.name.endswith(end))


def test_what_is_kept_comes_back_as_it_was(folder):
    folder.keep(PLACE, reading(7))
    [kept] = folder.recall()
    assert (kept.place, kept.at, kept.reading) == (PLACE, 1000.0, reading(7))


def test_nobody_else_may_read_it(folder, tmp_path):
    folder.keep(PLACE, reading())
    folder.keep_keys([key()], [], 5.0)
    folder.confirm()
    for path in (tmp_path / "flags").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "flags").stat().st_mode) == 0o700


def damaged(text):
    yield text[:-1] + bytes([text[-1] ^ 1])  # a flipped bit
    yield text[: len(text) // 2]  # a torn file
    yield b""
    yield text.replace(b'"version":1', b'"version":2')
    yield text.partition(b"\n")[2]  # no first line
    yield b"\x00" * 100


@pytest.mark.parametrize("number", range(6))
def test_a_damaged_snapshot_is_refused_and_the_one_before_it_taken(folder, tmp_path, number):
    folder.keep(PLACE, reading(1))
    folder.keep(PLACE, reading(2))
    [path] = files(tmp_path)
    path.write_bytes(list(damaged(path.read_bytes()))[number])
    before = POISONED._value.get()
    [kept] = folder.recall()
    assert kept.reading.revision == 1
    assert POISONED._value.get() == before + 1


def test_where_nothing_can_be_read_nothing_is_recalled(folder, tmp_path):
    folder.keep(PLACE, reading(1))
    [path] = files(tmp_path)
    path.write_bytes(b"nonsense")
    assert list(folder.recall()) == []


def test_what_is_whole_but_strange_is_refused(folder, tmp_path):
    folder.keep(PLACE, Reading(1, [stored()], []))
    [path] = files(tmp_path)
    head, _, body = path.read_bytes().partition(b"\n")
    said = orjson.loads(body)
    said["rows"][0]["nonsense"] = 1
    body = orjson.dumps(said)
    from hashlib import sha256

    head = orjson.dumps({**orjson.loads(head), "sha256": sha256(body).hexdigest()})
    path.write_bytes(head + b"\n" + body)
    assert list(folder.recall()) == []


def test_a_place_that_is_gone_is_forgotten(folder, tmp_path):
    folder.keep(PLACE, reading(1))
    folder.keep(PLACE, reading(2))
    folder.forget(PLACE)
    assert list(folder.recall()) == []


class TestWithoutADatabase:
    """On the fake, which can be away; tests/faults/test_all_dead.py takes the real one away."""

    @pytest.fixture
    def flags(self, work, clock, new_id):
        return Flags(work, clock, new_id)

    @pytest.fixture
    async def left(self, folder, work, flags, ana, here):
        """What a replica left behind that served one flag."""
        await flags.create(ana, here, Draft(key="f", name="F"))
        await flags.enable(ana, Aim(flag="f", place=here))
        before = Rulesets(work, folder)
        await before.open(ana)
        before.write()
        work.away = True
        return here

    async def test_the_last_good_state_is_served_and_says_how_old_it_is(
        self, folder, work, left, ana
    ):
        now = [1000.0]
        rulesets = Rulesets(work, folder, clock=lambda: now[0])
        assert (rulesets.recall(), rulesets.looked) == (1, False)
        held = await rulesets.open(ana)
        assert held.ruleset.flags["f"].answer.value is True
        assert rulesets.age(held) == 0
        now[0] += STALE + 5
        assert rulesets.age(held) == STALE + 5
        with pytest.raises(Unavailable):
            await rulesets.poll()
        assert rulesets.age(held) == STALE + 5

    async def test_what_was_confirmed_by_a_poll_is_as_young_as_the_poll(
        self, folder, work, left, ana
    ):
        Folder(folder._folder, clock=lambda: 4000.0).confirm()
        rulesets = Rulesets(work, folder, clock=lambda: 4010.0)
        rulesets.recall()
        assert rulesets.age(await rulesets.open(ana)) == 0

    async def test_the_database_has_the_last_word_when_it_is_back(
        self, folder, work, flags, left, ana
    ):
        rulesets = Rulesets(work, folder)
        rulesets.recall()
        work.away = False
        await flags.disable(ana, Aim(flag="f", place=left))
        await rulesets.poll()
        held = await rulesets.open(ana)
        assert held.ruleset.flags["f"].answer.value is False
        assert rulesets.age(held) == 0

    async def test_where_nothing_was_left_it_is_unavailable(self, tmp_path, work, left, ana):
        rulesets = Rulesets(work, Folder(tmp_path / "empty"))
        assert (rulesets.recall(), rulesets.looked) == (0, True)
        with pytest.raises(Unavailable):
            await rulesets.open(ana)

    async def test_a_full_disk_disturbs_nobody(self, tmp_path, work, left, ana, caplog):
        (tmp_path / "file").write_text("")
        work.away = False
        rulesets = Rulesets(work, Folder(tmp_path / "file" / "below"))
        held = await rulesets.open(ana)
        rulesets.write()
        await rulesets.poll()
        assert held.ruleset.flags["f"].answer.value is True
        assert "was not kept" in caplog.text


async def test_of_a_poisoned_row_the_last_good_form_is_kept_on_disk(folder, ana, here):
    class Shelf:
        row, revision = stored(), 2

        async def read(self, place):
            return Reading(self.revision, [self.row], [])

    shelf = Shelf()
    rulesets = Rulesets(shelf, folder)
    held = await rulesets.open(ana)
    shelf.row, shelf.revision = stored(variants="nonsense"), 3
    await rulesets.heard(here, 3)
    assert held.ruleset.revision == 3
    assert held.ruleset.flags["f"].answer.value is True
    rulesets.write()
    after = Rulesets(shelf, folder)
    after.recall()
    assert (await after.open(ana)).ruleset.flags["f"].answer.value is True


class TestApiKeys:
    def known(self, *keys):
        authority = Authority()
        authority.state.keys.update({k.hash: k for k in keys})
        authority._heard = authority._clock()
        return authority

    def test_they_are_known_after_a_start_without_iam_by_their_digests(self, folder, tmp_path):
        Keyring(self.known(key(expires=9e9)), folder, 100, clock=lambda: 50.0).tend()
        fresh = Authority()
        keyring = Keyring(fresh, folder, 100, clock=lambda: 120.0)
        assert keyring.trouble()
        assert (keyring.recall(), keyring.trouble()) == (1, "")
        assert fresh.state.keys == {key().hash: key(expires=9e9)}
        assert not fresh.usable  # for anything but evaluating

    def test_a_management_key_is_not_kept(self, folder):
        Keyring(self.known(key(kind="management", subject="s")), folder, 100).tend()
        assert Keyring(Authority(), folder, 1e12).recall() == 0

    def test_a_closed_tenant_stays_closed(self, folder):
        from authz.replica import Tenant

        authority = self.known(key())
        authority.state.tenants["t"] = Tenant("t", "slug", active=False)
        Keyring(authority, folder, 100, clock=lambda: 1.0).tend()
        fresh = Authority()
        Keyring(fresh, folder, 100, clock=lambda: 2.0).recall()
        assert fresh.state.tenants["t"].active is False

    def test_what_is_too_old_is_not_believed(self, folder):
        Keyring(self.known(key()), folder, 100, clock=lambda: 50.0).tend()
        assert Keyring(Authority(), folder, 100, clock=lambda: 151.0).recall() == 0

    def test_iams_long_silence_ends_it(self, folder, caplog):
        Keyring(self.known(key()), folder, 100, clock=lambda: 50.0).tend()
        now = [100.0]
        fresh = Authority()
        keyring = Keyring(fresh, folder, 100, clock=lambda: now[0])
        keyring.recall()
        keyring.tend()
        assert fresh.state.keys
        now[0], generation = 151.0, fresh.generation
        keyring.tend()
        assert (fresh.state.keys, fresh.generation) == ({}, generation + 1)

    def test_the_same_is_written_seldom_but_is_written(self, folder):
        now = [50.0]
        keyring = Keyring(self.known(key()), folder, 100, clock=lambda: now[0])
        keyring.tend()
        keyring.authority.state.keys.clear()
        now[0] += 10
        keyring.tend()
        assert len(folder.recall_keys()[0]) == 1
        now[0] += 600
        keyring.tend()
        assert folder.recall_keys() == ([], [], 660.0)

    def test_a_damaged_file_is_refused(self, folder, tmp_path):
        folder.keep_keys([key()], [], 5.0)
        (tmp_path / "flags" / "api.keys").write_bytes(b"x")
        assert folder.recall_keys() is None
        folder.keep_keys([replace(key(), id="other")], [], 6.0)
        assert folder.recall_keys()[2] == 6.0
