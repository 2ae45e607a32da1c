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

MOST_STAGES = 100
MOST_ATTEMPTS = 9  # with doubling pauses: some nine minutes


class RolloutStatus(StrEnum):
    """How far a rollout is. The first three are unfinished."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"


UNFINISHED = frozenset({RolloutStatus.WAITING, RolloutStatus.RUNNING, RolloutStatus.PAUSED})


@dataclass(frozen=True, slots=True)
class Stage:
    """A share (in steps of 0.001 %, of 100,000) and for how many seconds it holds before the next stage."""

    weight: int
    hold: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Which variant grows at the cost of which other, for whom (`when`, None: everybody), by which units, in stages."""

    variant: str
    otherwise: str
    stages: tuple[Stage, ...]
    by: tuple[str, ...] = ()
    when: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A ramp under way. `stage` is the one in force (-1: none yet), `next_at` when the next begins by itself.

    While it is paused, `left` is for how many more seconds the stage holds once it goes on.
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

    def advanced(self, now: datetime) -> "Rollout":
        """Return the rollout one stage further: completed with the last one."""
        stage = self.stage + 1
        if stage == len(self.ramp.stages) - 1:
            return self._moved(now, stage=stage, status=RolloutStatus.COMPLETED, next_at=None)
        then = now + timedelta(seconds=self.ramp.stages[stage].hold)
        return self._moved(now, stage=stage, status=RolloutStatus.RUNNING, next_at=then)

    def paused(self, now: datetime, why: str = "") -> "Rollout":
        """Return the rollout held where it is; itself if it is paused already."""
        self._must_be_unfinished()
        if self.status is RolloutStatus.PAUSED:
            return self
        left = max(0.0, (self.next_at - now).total_seconds()) if self.next_at else 0.0
        return self._moved(
            now, status=RolloutStatus.PAUSED, next_at=None, left=left, trouble=why[:1000]
        )

    def resumed(self, now: datetime) -> "Rollout":
        """Return the rollout going on: its stage holds for as long as was left of it."""
        self._must_be_unfinished()
        if self.status is not RolloutStatus.PAUSED:
            return self
        status = RolloutStatus.WAITING if self.stage < 0 else RolloutStatus.RUNNING
        then = now + timedelta(seconds=self.left or 0.0)
        return self._moved(now, status=status, next_at=then, left=None, trouble="")

    def aborted(self, now: datetime, why: str = "") -> "Rollout":
        """Return the rollout given up."""
        self._must_be_unfinished()
        return self._moved(
            now, status=RolloutStatus.ABORTED, next_at=None, left=None, trouble=why[:1000]
        )

    def failed(self, why: str, now: datetime) -> "Rollout":
        """Return the rollout after a stage was refused; what is in force stays."""
        return self._moved(
            now, status=RolloutStatus.FAILED, next_at=None, left=None, trouble=why[:1000]
        )

    def put_off(self, now: datetime) -> "Rollout":
        """Return the rollout after a bug of ours kept its stage from beginning: to be tried again, or paused."""
        if self.attempts >= MOST_ATTEMPTS:
            return self.paused(now, "a stage could not begin because of a fault on our side")
        later = now + timedelta(seconds=2**self.attempts)
        return replace(self, attempts=self.attempts + 1, next_at=later)

    def _must_be_unfinished(self) -> None:
        if self.status not in UNFINISHED:
            raise RolloutOver(f"the rollout is {self.status.value}: start another one")

    def _moved(self, now: datetime, **fields: Any) -> "Rollout":  # noqa: ANN401 - fields of any type
        return replace(self, **fields, attempts=0, version=self.version + 1, updated_at=now)


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
        **({"trouble": rollout.trouble} if rollout.trouble else {}),
    }
