"""Which state follows which, by hand and by the clock.

DRAFT → ACTIVE ⇄ PAUSED → COMPLETED → ARCHIVED

A date of the schedule takes effect by itself: whoever reads an experiment settles it first, and sees what the scheduler
will write down, or has. So a boundary is exact whenever the scheduler comes by, and both agree on every field.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from experiments.domain.errors import ScheduleOver, WrongState
from experiments.domain.experiment import Experiment, Status
from experiments.domain.planned import digest
from experiments.domain.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Move:
    """A change of state: what it is called, what it is called afterwards, and from where to where it goes."""

    name: str
    past: str
    come_from: frozenset[Status]
    to: Status


def _move(name: str, past: str, come_from: set[Status], to: Status) -> Move:
    return Move(name, past, frozenset(come_from), to)


START = _move("start", "started", {Status.DRAFT}, Status.ACTIVE)
PAUSE = _move("pause", "paused", {Status.ACTIVE}, Status.PAUSED)
RESUME = _move("resume", "resumed", {Status.PAUSED}, Status.ACTIVE)
COMPLETE = _move("complete", "completed", {Status.ACTIVE, Status.PAUSED}, Status.COMPLETED)
ARCHIVE = _move("archive", "archived", {Status.COMPLETED}, Status.ARCHIVED)
MOVES = {move.name: move for move in (START, PAUSE, RESUME, COMPLETE, ARCHIVE)}
SCHEDULABLE = (Status.DRAFT, Status.PAUSED)


@dataclass(frozen=True, slots=True)
class Step:
    """One move that the clock made: how the experiment was before it and is after it."""

    move: Move
    before: Experiment
    after: Experiment


def moved(experiment: Experiment, move: Move, now: datetime) -> Experiment:
    """Return a settled experiment after a move by hand; WrongState says what is possible instead."""
    if experiment.status not in move.come_from:
        raise WrongState(_refusal(experiment, move))
    if move.to is Status.ACTIVE and _over(experiment.schedule, now):
        raise ScheduleOver(
            f"experiment {experiment.key!r} should have ended by now; change or remove its schedule first"
        )
    return _after(experiment, move, now)


def scheduled(experiment: Experiment, schedule: Schedule | None, now: datetime) -> Experiment:
    """Return a settled experiment with this schedule, or with none."""
    if experiment.status not in SCHEDULABLE:
        raise WrongState(
            f"experiment {experiment.key!r} is {experiment.status}; "
            "a schedule can be set or removed only while it is DRAFT or PAUSED"
        )
    return replace(experiment, schedule=schedule).touched(now)


def settle(experiment: Experiment, now: datetime) -> tuple[Step, ...]:
    """Return the moves that the clock has made by `now` and nobody has written down yet, in order."""
    steps: list[Step] = []
    while (due := due_at(experiment)) is not None and due <= now:
        move = _next(experiment)
        steps.append(Step(move, experiment, _after(experiment, move, due)))
        experiment = steps[-1].after
    return tuple(steps)


def settled(experiment: Experiment, now: datetime) -> Experiment:
    """Return the experiment as it is at `now`."""
    steps = settle(experiment, now)
    return steps[-1].after if steps else experiment


def due_at(experiment: Experiment) -> datetime | None:
    """Return when the clock will move an experiment next; None if never. Not before its schedule was set."""
    schedule = experiment.schedule
    if schedule is None:
        return None
    moment = schedule.start if _waits(experiment, schedule) else None
    if moment is None and experiment.status in (Status.ACTIVE, Status.PAUSED):
        moment = schedule.end
    return max(moment.at, schedule.set_at) if moment else None


def closes_at(experiment: Experiment) -> datetime | None:
    """Return when an experiment ends, as far as is known: what units do from then on does not count. None: not yet.

    A date of the schedule is known ahead, so that nothing has to be taken back when the clock reaches it.
    """
    schedule = experiment.schedule
    if experiment.completed_at or schedule is None or schedule.end is None:
        return experiment.completed_at
    return max(schedule.end.at, schedule.set_at)


def _waits(experiment: Experiment, schedule: Schedule) -> bool:
    return experiment.status in SCHEDULABLE and schedule.start is not None and not schedule.begun


def _next(experiment: Experiment) -> Move:
    """Return the move that is due, where one is."""
    assert experiment.schedule is not None
    if not _waits(experiment, experiment.schedule):
        return COMPLETE
    return START if experiment.status is Status.DRAFT else RESUME


def _after(experiment: Experiment, move: Move, at: datetime) -> Experiment:
    schedule = experiment.schedule
    begins = move.to is Status.ACTIVE
    if schedule and begins:
        schedule = replace(schedule, begun=True)
    return replace(
        experiment,
        status=move.to,
        schedule=schedule,
        phase=experiment.phase + begins,
        plan_hash=digest(experiment) if move is START else experiment.plan_hash,
        started_at=at if move is START else experiment.started_at,
        completed_at=at if move is COMPLETE else experiment.completed_at,
    ).touched(at)


def _over(schedule: Schedule | None, now: datetime) -> bool:
    return schedule is not None and schedule.end is not None and schedule.end.at <= now


def _refusal(experiment: Experiment, move: Move) -> str:
    possible = [m.name for m in MOVES.values() if experiment.status in m.come_from]
    instead = f"from there it can {' or '.join(possible)}" if possible else "there it ends"
    return f"cannot {move.name} experiment {experiment.key!r}: it is {experiment.status}; {instead}"
