"""What the worker does next: one deed, read off what is wished and what was seen, and off nothing else.

A deed that was done and not written down is seen the next time, so any of them may be cut off anywhere.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto

from compute.domain.guest import Power, Seen
from compute.domain.vm import Step, Vm, Wish


class Deed(StrEnum):
    """One idempotent thing that a host is asked to do."""

    NOTHING = auto()
    MAKE = auto()
    ON = auto()
    PRESS = auto()
    OFF = auto()
    PAUSE = auto()
    RESUME = auto()
    RESET = auto()
    REMOVE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a guest is given to boot, to shut down and to answer, and how long to wait between failures.

    `steady`: one that was up for so long has not failed to start, if it dies then.
    """

    boot: timedelta = timedelta(seconds=45)
    halt: timedelta = timedelta(seconds=10)
    silence: timedelta = timedelta(seconds=5)
    pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(seconds=60)
    steady: timedelta = timedelta(seconds=60)

    def wait(self, failures: int) -> timedelta:
        """Return how long to wait after so many failures in a row (from 1)."""
        return min(self.pause * 2 ** min(failures - 1, 16), self.longest_pause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The deed, the step that it makes, what there is to complain of, and what the guest itself has done.

    `follows`: the guest switched itself off, and the wish follows it. `crashes`: how often in a row it died soon after
    it was started; `wait`: how long to leave it before the next deed.
    """

    deed: Deed
    step: Step
    trouble: str | None = None
    news: str | None = None
    follows: bool = False
    crashes: int | None = None
    wait: timedelta | None = None


LOST = "its disk is gone from the host: restore it there, or delete the machine"
SILENT = "the host does not learn from the guest's monitor how it is"
LATE = "the guest has not said that it is up in time"
DYING = "the guest ends unasked soon after it is started, and is started again later each time"
_RUNS = frozenset({Step.BOOT, Step.UP, Step.HELD, Step.HALT})


def steer(vm: Vm, seen: Seen, now: datetime, terms: Terms) -> Course:
    """Return what to do next. UNKNOWN is waited for: whatever is done could be done to a guest that runs."""
    if vm.wish is Wish.VANISH:
        return _vanish(seen)
    if seen.power is Power.UNKNOWN:
        quiet = seen.silence > terms.silence
        return Course(deed=Deed.NOTHING, step=vm.step, trouble=SILENT if quiet else vm.trouble)
    if seen.power is Power.ABSENT or not seen.made:
        return _absent(vm)
    return _stop(vm, seen, now, terms) if vm.wish is Wish.STOP else _run(vm, seen, now, terms)


def _vanish(seen: Seen) -> Course:
    if seen.power is Power.ABSENT:
        return Course(deed=Deed.NOTHING, step=Step.GONE)
    return Course(deed=Deed.REMOVE, step=Step.RELEASE)


def _absent(vm: Vm) -> Course:
    if vm.made:
        return Course(deed=Deed.NOTHING, step=vm.step, trouble=LOST)
    if vm.wish is Wish.STOP:
        return Course(deed=Deed.NOTHING, step=Step.DOWN)
    if vm.waits_for_medium:
        return Course(deed=Deed.NOTHING, step=Step.PLACE, trouble=vm.trouble)
    return Course(deed=Deed.MAKE, step=Step.PLACE)


def _stop(vm: Vm, seen: Seen, now: datetime, terms: Terms) -> Course:
    if seen.power is Power.OFF:
        return Course(deed=Deed.NOTHING, step=Step.DOWN)
    if seen.power is Power.PAUSED:
        return Course(deed=Deed.RESUME, step=Step.HALT)
    return _halt(vm, seen, now, terms)


def _halt(vm: Vm, seen: Seen, now: datetime, terms: Terms) -> Course:
    """Press the button until the guest obeys, or its time is up."""
    asked = vm.step_since if vm.step is Step.HALT else None
    late = asked is not None and now - asked > terms.halt
    if seen.power is Power.HALTED or late:
        news = "it did not shut down in time, and was switched off" if late else None
        return Course(deed=Deed.OFF, step=Step.HALT, news=news)
    return Course(deed=Deed.PRESS, step=Step.HALT)


def _run(vm: Vm, seen: Seen, now: datetime, terms: Terms) -> Course:
    if seen.power is Power.OFF:
        return _off(vm, seen, now, terms)
    if seen.generation < vm.restart_at:
        resume = seen.power is Power.PAUSED
        return Course(deed=Deed.RESUME, step=Step.HALT) if resume else _halt(vm, seen, now, terms)
    if seen.power is Power.HALTED:
        follows = seen.generation == vm.generation or vm.settled == vm.generation
        news = "the guest switched itself off" if follows else None
        return Course(deed=Deed.OFF, step=Step.HALT, news=news, follows=follows)
    if seen.power is Power.PAUSED:
        held = Course(deed=Deed.NOTHING, step=Step.HELD)
        return held if vm.wish is Wish.PAUSE else Course(deed=Deed.RESUME, step=vm.step)
    if seen.reset_at < vm.reset_at:
        return Course(deed=Deed.RESET, step=Step.BOOT)
    return _up(vm, seen, now, terms)


def _off(vm: Vm, seen: Seen, now: datetime, terms: Terms) -> Course:
    """Start a guest: at once, or later each time if it dies again and again."""
    news = "the guest ended unasked, and is started again" if seen.crashed else None
    if not seen.crashed or vm.step not in _RUNS:  # it was counted when it was first seen dead
        return Course(deed=Deed.ON, step=Step.BOOT, news=news)
    steady = vm.step is Step.UP and vm.step_since and now - vm.step_since >= terms.steady
    crashes = 1 if steady else vm.crashes + 1
    if crashes == 1:
        return Course(deed=Deed.ON, step=Step.BOOT, news=news, crashes=1)
    said, wait = f"{DYING}: {crashes} times in a row", terms.wait(crashes - 1)
    return Course(deed=Deed.NOTHING, step=Step.DOWN, trouble=said, crashes=crashes, wait=wait)


def _up(vm: Vm, seen: Seen, now: datetime, terms: Terms) -> Course:
    if not seen.up:
        began = vm.step_since if vm.step is Step.BOOT else None
        late = began is not None and now - began > terms.boot
        return Course(deed=Deed.NOTHING, step=Step.BOOT, trouble=LATE if late else None)
    if vm.wish is Wish.PAUSE:
        return Course(deed=Deed.PAUSE, step=Step.UP)
    return Course(deed=Deed.NOTHING, step=Step.UP)


def settled(vm: Vm, course: Course) -> bool:
    """Tell whether what was wished has come true."""
    end = {Wish.RUN: Step.UP, Wish.PAUSE: Step.HELD, Wish.STOP: Step.DOWN, Wish.VANISH: Step.GONE}
    done = course.deed is Deed.NOTHING and course.trouble is None
    return done and course.step is end[vm.wish]


def idle(vm: Vm, course: Course) -> bool:
    """Tell whether there is nothing to do and nothing to write down."""
    same = (vm.step, vm.trouble) == (course.step, course.trouble)
    return (
        same
        and course.deed is Deed.NOTHING
        and (vm.settled == vm.generation or not settled(vm, course))
    )


def progressed(vm: Vm, course: Course, seen: Seen, now: datetime) -> Vm:
    """Return the machine after a deed was done. The version grows where people see a difference."""
    after = replace(
        vm,
        step=course.step,
        step_since=vm.step_since if course.step is vm.step else now,
        settled=vm.generation if settled(vm, course) else vm.settled,
        trouble=course.trouble,
        made=vm.made or seen.made,
        attempts=0,
        crashes=vm.crashes if course.crashes is None else course.crashes,
        due_at=now + course.wait if course.wait else None,
    )
    if course.follows:
        after = replace(after, wish=Wish.STOP, generation=vm.generation + 1)
    return _seen_by_people(vm, after, now)


def failed(vm: Vm, why: str, now: datetime, terms: Terms) -> Vm:
    """Return the machine after a deed failed: it says why, and is tried again, later each time."""
    attempts = vm.attempts + 1
    after = replace(vm, trouble=why, attempts=attempts, due_at=now + terms.wait(attempts))
    return _seen_by_people(vm, after, now)


def _seen_by_people(before: Vm, after: Vm, now: datetime) -> Vm:
    shown = ("status", "status_detail", "wish")
    if all(getattr(before, name) == getattr(after, name) for name in shown):
        return after
    return replace(after, version=before.version + 1, updated_at=now)
