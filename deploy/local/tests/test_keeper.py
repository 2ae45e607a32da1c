import os
import signal
import sys

import pytest

from yard import YardError, probes
from yard import keeper as keeping
from yard.keeper import Keeper, StartFailed, closed, pause
from yard.unit import Unit

SLEEP = "while :; do sleep 0.05; done"


def shell(name, script, **more):
    """A unit that is a few lines of shell."""
    return Unit(
        name=name, command=("/bin/sh", "-c", script), env={"PATH": os.environ["PATH"]}, **more
    )


@pytest.fixture
async def keep(site):
    """Make keepers, and stop them whatever happened."""
    made = []

    def make(*units):
        changes = []
        keeper = Keeper(units, site.log, lambda name, entry: changes.append((name, entry.state)))
        keeper.changes = changes
        made.append(keeper)
        return keeper

    yield make
    for keeper in made:
        await keeper.stop()


def moments(keeper, state):
    return [name for name, seen in keeper.changes if seen == state]


async def test_a_unit_starts_only_when_what_it_needs_is_ready(keep, tmp_path):
    file = tmp_path / "there"
    first = shell("first", f"sleep 0.2; echo x > {file}; {SLEEP}", ready=probes.file(file))
    second = shell("second", f"test -s {file} || exit 9; {SLEEP}", needs=("first",))
    keeper = keep(second, first)
    await keeper.start()
    assert keeper.changes.index(("first", "ready")) < keeper.changes.index(("second", "starting"))


async def test_a_task_is_done_before_what_needs_it_starts(keep, tmp_path):
    task = shell("task", f"echo done > {tmp_path}/made", once=True)
    keeper = keep(
        shell("user", f"test -s {tmp_path}/made || exit 9; {SLEEP}", needs=("task",)), task
    )
    await keeper.start()
    assert keeper.entries["task"].state == "done"


async def test_what_is_killed_comes_back_and_is_counted(keep, soon):
    keeper = keep(shell("a", SLEEP))
    await keeper.start()
    old = keeper.entries["a"].pid
    os.kill(old, signal.SIGKILL)
    await soon(lambda: keeper.entries["a"].state == "ready" and keeper.entries["a"].pid != old)
    assert keeper.entries["a"].restarts == 1


async def test_what_falls_again_and_again_is_tried_on_after_the_start(keep, soon, tmp_path):
    keeper = keep(shell("a", f"test -e {tmp_path}/bad && exit 1; touch {tmp_path}/up; {SLEEP}"))
    await keeper.start()
    await soon((tmp_path / "up").exists)
    (tmp_path / "bad").touch()
    os.kill(keeper.entries["a"].pid, signal.SIGKILL)
    await soon(lambda: keeper.entries["a"].restarts > 3)
    (tmp_path / "bad").unlink()
    await soon(lambda: keeper.entries["a"].state == "ready")


async def test_a_process_that_keeps_exiting_fails_the_start_with_its_last_words(keep):
    keeper = keep(shell("bad", "echo no such thing >&2; exit 3", ready=never), shell("good", SLEEP))
    with pytest.raises(StartFailed, match="bad exited with status 3") as failure:
        await keeper.start()
    assert failure.value.lines == ["no such thing"]


async def test_a_task_that_fails_once_fails_the_start(keep):
    keeper = keep(shell("task", "exit 4", once=True), shell("user", SLEEP, needs=("task",)))
    with pytest.raises(StartFailed, match="task exited with status 4"):
        await keeper.start()
    assert keeper.entries["user"].state == "waiting"


async def test_a_process_that_does_not_become_ready_fails_the_start(keep):
    keeper = keep(shell("slow", f"echo thinking; {SLEEP}", ready=never, patience=0.3))
    with pytest.raises(StartFailed, match="slow was not ready") as failure:
        await keeper.start()
    assert failure.value.lines == ["thinking"]


async def test_last_words_are_those_of_this_start_not_of_an_earlier_one(keep, site):
    (site.log / "bad.log").write_text("yesterday\n")
    with pytest.raises(StartFailed) as failure:
        await keep(shell("bad", "echo today; exit 1", once=True)).start()
    assert failure.value.lines == ["today"]


async def test_a_program_that_is_not_there_fails_the_start(keep):
    with pytest.raises(FileNotFoundError):
        await keep(Unit(name="gone", command=("/no/such/program",))).start()


async def test_all_is_stopped_in_the_reverse_order_even_through_a_task(keep):
    keeper = keep(
        shell("store", SLEEP),
        shell("task", "exit 0", needs=("store",), once=True),
        shell("service", SLEEP, needs=("task",)),
        shell("gate", SLEEP, needs=("service",)),
    )
    await keeper.start()
    await keeper.stop()
    assert moments(keeper, "stopped") == ["gate", "service", "store"]


async def test_what_does_not_want_to_stop_is_killed_after_its_grace(keep, soon, tmp_path):
    keeper = keep(shell("deaf", f"trap '' TERM; touch {tmp_path}/up; {SLEEP}", grace=0.2))
    await keeper.start()
    await soon((tmp_path / "up").exists)
    pid = keeper.entries["deaf"].pid
    await keeper.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_stopping_reaches_what_the_process_has_started_itself(keep, soon, tmp_path):
    keeper = keep(shell("parent", f"sh -c '{SLEEP}' & echo $! > {tmp_path}/child; wait"))
    await keeper.start()
    await soon(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip())
    child = int((tmp_path / "child").read_text())
    await keeper.stop()
    await soon(lambda: not running(child))


async def test_children_inherit_nothing_but_their_log(keep, soon, tmp_path):
    command = "import os, sys; print(*os.listdir('/proc/self/fd'), file=open(sys.argv[1], 'w'))"
    child = (sys.executable, "-c", command, str(tmp_path / "fds"))
    await keep(Unit(name="a", command=child, once=True)).start()
    # Two more are the child's own: the listing and the file that it writes.
    assert (tmp_path / "fds").read_text().split()[:3] == ["0", "1", "2"]
    assert len((tmp_path / "fds").read_text().split()) <= 5


@pytest.mark.parametrize(("steady", "counted"), [(0.0, [1, 1, 1]), (600.0, [1, 2, 3])])
async def test_only_who_was_not_ready_for_a_while_waits_longer_and_longer(
    keep, soon, monkeypatch, steady, counted
):
    asked = []
    monkeypatch.setattr(keeping, "STEADY", steady)
    monkeypatch.setattr(keeping, "pause", lambda falls: asked.append(falls) or 0.0)
    keeper = keep(shell("a", SLEEP))
    await keeper.start()
    for n in range(3):
        os.kill(keeper.entries["a"].pid, signal.SIGKILL)
        await soon(lambda n=n: len(moments(keeper, "ready")) == n + 2)
    assert asked == counted


def test_pauses_double_and_are_bounded():
    assert [pause(falls) for falls in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert pause(10**6) == 3.0


def test_a_circle_of_needs_is_refused_by_name():
    units = {
        name: Unit(name=name, command=(), needs=(need,)) for name, need in (("a", "b"), ("b", "a"))
    }
    with pytest.raises(YardError, match="a, b"):
        closed({**units, "c": Unit(name="c", command=())})


async def never():
    return False


def running(pid):
    from yard.procs import birth

    return birth(pid) != ""
