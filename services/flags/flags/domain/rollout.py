"""A progressive rollout: a variant for more and more of the units, stage by stage.

The rollout owns one rule of the flag, the last, and each stage changes the weights in it: a revision like any other. So
whoever has the variant keeps it as the share grows, every door serves it, and any past moment can be explained. A stage
holds for as long as was asked from when it really began, so that none is skipped because a worker was away.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from flags.domain.analyse import doubts
from flags.domain.bucketing import WHOLE
from flags.domain.edits import Author, Spot
from flags.domain.errors import BadRollout, RolloutLost, RolloutOver
from flags.domain.flag import Change, Flag
from flags.domain.guard import LOOK_EVERY, Guard, Said, Verdict, guard_document, verdict_document

MOST_STAGES = 100
MOST_ATTEMPTS = 9  # with doubling pauses: some nine minutes


class RolloutStatus(StrEnum):
    """How far a rollout is. The first three are unfinished."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


UNFINISHED = frozenset({RolloutStatus.WAITING, RolloutStatus.RUNNING, RolloutStatus.PAUSED})


@dataclass(frozen=True, slots=True)
class Stage:
    """A share (in steps of 0.001 %, of 100,000) and for how many seconds it holds before the next stage."""

    weight: int
    hold: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Which variant grows at the cost of which other, for whom (`when`, None: everybody), by which units, in stages.

    With a guard, no stage begins unless that is clear, and the last is watched for as long as it holds.
    """

    variant: str
    otherwise: str
    stages: tuple[Stage, ...]
    by: tuple[str, ...] = ()
    when: Mapping[str, Any] | None = None
    guard: Guard | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A ramp under way. `stage` is the one in force (-1: none yet), `next_at` when the next begins by itself.

    While it is paused, `left` is for how many more seconds the stage holds once it goes on. With a guard, `look_at` is
    when that is asked next and `verdict` what it was found to be. `trouble` says why a due stage does not begin.
    """

    id: UUID
    spot: Spot
    ramp: Ramp
    reason: str
    author: Author
    approved: UUID | None = None
    status: RolloutStatus = RolloutStatus.WAITING
    stage: int = -1
    next_at: datetime | None
    left: float | None = None
    look_at: datetime | None = None
    verdict: Verdict | None = None
    attempts: int = 0
    trouble: str = ""
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def rule_id(self) -> str:
        """The id of the rule that is the rollout's own."""
        return f"rollout-{self.id}"

    @property
    def weight(self) -> int:
        """The share in force."""
        return self.ramp.stages[self.stage].weight if self.stage >= 0 else 0

    @property
    def held(self) -> bool:
        """Whether a stage that is due does not begin because nobody can tell whether it would do harm."""
        unknown = self.verdict is not None and self.verdict.said is Said.UNKNOWN
        return unknown and self.look_at is not None and bool(self.trouble)

    def advanced(self, now: datetime) -> "Rollout":
        """Return the rollout one stage further: completed with the last one, with a guard when that was held."""
        last = len(self.ramp.stages) - 1
        stage = min(self.stage + 1, last)
        hold = self.ramp.stages[stage].hold
        watched = self.ramp.guard is not None and self.stage < last and hold > 0
        if stage == last and not watched:
            return self._moved(now, stage=stage, status=RolloutStatus.COMPLETED)
        then = now + timedelta(seconds=hold)
        return self._moved(now, stage=stage, status=RolloutStatus.RUNNING, next_at=then)

    def due(self, now: datetime) -> bool:
        """Tell whether the time of the next stage has come."""
        return self.next_at is not None and self.next_at <= now

    def judged(self, verdict: Verdict, now: datetime) -> "Rollout":
        """Return the rollout with what its guard was found to be, going on as it was, or held if it cannot."""
        due, later = self.due(now), now + LOOK_EVERY
        look = later if due or self.next_at is None else min(later, self.next_at)
        held = due and verdict.said is Said.UNKNOWN
        return replace(
            self,
            verdict=verdict,
            look_at=look,
            trouble=verdict.why if held else "",
            attempts=0,
            version=self.version + 1,
        )

    def rolled_back(self, now: datetime, why: str) -> "Rollout":
        """Return the rollout stopped for the harm that its guard was found to have."""
        self._must_be_unfinished()
        return self._moved(now, status=RolloutStatus.ROLLED_BACK, trouble=why[:1000])

    def paused(self, now: datetime, why: str = "") -> "Rollout":
        """Return the rollout held where it is; itself if it is paused already."""
        self._must_be_unfinished()
        if self.status is RolloutStatus.PAUSED:
            return self
        left = max(0.0, (self.next_at - now).total_seconds()) if self.next_at else 0.0
        return self._moved(now, status=RolloutStatus.PAUSED, left=left, trouble=why[:1000])

    def resumed(self, now: datetime) -> "Rollout":
        """Return the rollout going on: its stage holds for as long as was left of it."""
        self._must_be_unfinished()
        if self.status is not RolloutStatus.PAUSED:
            return self
        status = RolloutStatus.WAITING if self.stage < 0 else RolloutStatus.RUNNING
        then = now + timedelta(seconds=self.left or 0.0)
        return self._moved(now, status=status, next_at=then, look_at=now)

    def aborted(self, now: datetime, why: str = "") -> "Rollout":
        """Return the rollout given up."""
        self._must_be_unfinished()
        return self._moved(now, status=RolloutStatus.ABORTED, trouble=why[:1000])

    def failed(self, why: str, now: datetime) -> "Rollout":
        """Return the rollout after a stage was refused; what is in force stays."""
        return self._moved(now, status=RolloutStatus.FAILED, trouble=why[:1000])

    def put_off(self, now: datetime) -> "Rollout":
        """Return the rollout after a bug of ours kept its stage from beginning: to be tried again, or paused."""
        if self.attempts >= MOST_ATTEMPTS:
            return self.paused(now, "a stage could not begin because of a fault on our side")
        later, attempts = now + timedelta(seconds=2**self.attempts), self.attempts + 1
        if self.ramp.guard is not None:
            return replace(self, attempts=attempts, look_at=later)
        return replace(self, attempts=attempts, next_at=later)

    def _must_be_unfinished(self) -> None:
        if self.status not in UNFINISHED:
            raise RolloutOver(f"the rollout is {self.status.value}: start another one")

    def _moved(self, now: datetime, **fields: Any) -> "Rollout":  # noqa: ANN401 - fields of any type
        """Return the rollout after a move: what is not said of the clock does not go on."""
        then: datetime | None = fields.get("next_at")
        look = fields.get("look_at") or (then and min(then, now + LOOK_EVERY))
        said = {"next_at": None, "left": None, "trouble": "", **fields}
        said["look_at"] = look if then and self.ramp.guard else None
        return replace(self, **said, attempts=0, version=self.version + 1, updated_at=now)


def must_ramp(ramp: Ramp) -> None:
    """Refuse stages that do not grow, or that end nowhere."""
    weights = [stage.weight for stage in ramp.stages]
    if not 1 <= len(weights) <= MOST_STAGES:
        raise BadRollout(f"a rollout has 1 to {MOST_STAGES} stages")
    if weights != sorted(set(weights)) or not 0 < weights[0] <= weights[-1] <= WHOLE:
        raise BadRollout(
            f"the weights of the stages have to grow, from at least 1 to at most {WHOLE}"
        )
    if ramp.variant == ramp.otherwise:
        raise BadRollout(f"variant {ramp.variant!r} cannot take the place of itself")


def begun(flag: Flag, rollout: Rollout, now: datetime) -> Flag:
    """Return the flag with the rollout's rule as its last, at the first stage. BadRollout if nobody gets there."""
    rules = (*flag.switch(rollout.spot.environment).rules, _rule(rollout))
    after = _with(flag, rollout, rules, now)
    last = f"/rules/{len(rules) - 1}"
    if any(d.pointer == last and d.code == "unreachable" for d in doubts({"rules": list(rules)})):
        raise BadRollout(
            "the rules before it decide for everybody: remove the one without a condition first"
        )
    return after


def grown(flag: Flag, rollout: Rollout, now: datetime) -> Flag:
    """Return the flag at the rollout's present stage. RolloutLost if its rule was removed by somebody."""
    rules = list(flag.switch(rollout.spot.environment).rules)
    rules[_at(flag, rollout)] = _rule(rollout)
    return _with(flag, rollout, tuple(rules), now)


def undone(flag: Flag, rollout: Rollout, now: datetime) -> Flag:
    """Return the flag without the rollout's rule; itself if it has none."""
    rules = flag.switch(rollout.spot.environment).rules
    rest = tuple(rule for rule in rules if rule.get("id") != rollout.rule_id)
    return _with(flag, rollout, rest, now)


def _with(
    flag: Flag, rollout: Rollout, rules: tuple[Mapping[str, Any], ...], now: datetime
) -> Flag:
    return flag.changed(rollout.spot.environment, now, Change(switch={"rules": rules}))


def _at(flag: Flag, rollout: Rollout) -> int:
    rules = flag.switch(rollout.spot.environment).rules
    for index, rule in enumerate(rules):
        if rule.get("id") == rollout.rule_id:
            return index
    raise RolloutLost("the rule of the rollout was removed from the flag")


def _rule(rollout: Rollout) -> dict[str, Any]:
    ramp, weight = rollout.ramp, rollout.weight
    weights = [
        {"variant": ramp.variant, "weight": weight},
        {"variant": ramp.otherwise, "weight": WHOLE - weight},
    ]
    return {
        "id": rollout.rule_id,
        **({} if ramp.when is None else {"when": dict(ramp.when)}),
        "split": {"weights": weights, **({"by": list(ramp.by)} if ramp.by else {})},
    }


def document(rollout: Rollout) -> dict[str, Any]:
    """Return the rollout as the audit log keeps it."""
    return {
        "flag": rollout.spot.flag,
        "environment": rollout.spot.environment,
        "variant": rollout.ramp.variant,
        "stages": [[stage.weight, stage.hold] for stage in rollout.ramp.stages],
        "status": rollout.status.value,
        "stage": rollout.stage,
        "weight": rollout.weight,
        **({"guard": guard_document(rollout.ramp.guard)} if rollout.ramp.guard else {}),
        **({"verdict": verdict_document(rollout.verdict)} if rollout.verdict else {}),
        **({"trouble": rollout.trouble} if rollout.trouble else {}),
    }
