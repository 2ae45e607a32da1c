"""The guard of a rollout: a guardrail of an experiment, asked about before each stage and while one holds.

What is known is one of three: the guardrail is kept (`clear`), it is harmed beyond doubt (`harmed`), or nobody can tell
(`unknown`): experiments does not answer, harm to the guardrail (where none is named: to each of them) would not be seen
yet, or nobody was exposed. Only `clear` lets a rollout grow; not knowing holds it where it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

LOOK_EVERY = timedelta(seconds=15)


class OnHarm(StrEnum):
    """What harm does to a rollout: all get again what they got before it, or it is held at its share."""

    ROLL_BACK = "roll_back"
    PAUSE = "pause"


class Said(StrEnum):
    """What is known of a guard."""

    CLEAR = "clear"
    HARMED = "harmed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Which experiment (id or key) has to be unharmed, in which of its guardrails (empty: in every one)."""

    experiment: str
    metric: str = ""
    on_harm: OnHarm = OnHarm.ROLL_BACK


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What an experiment tells: the guardrails it can judge, and which are harmed in which arm; its exposed units.

    `unwatched` are the guardrails that it cannot judge by now.
    """

    watched: frozenset[str]
    unwatched: frozenset[str] = frozenset()
    harmed: tuple[tuple[str, str], ...] = ()  # (metric, arm)
    units: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a guard was last found to be, why in a sentence, by how many exposed units, and when."""

    said: Said
    why: str
    units: int = 0
    at: datetime


def verdict_of(guard: Guard, evidence: Evidence, now: datetime) -> Verdict:
    """Return what the evidence means to a guard."""
    of = f"experiment {guard.experiment!r}"
    what = f"guardrail {guard.metric!r} of {of}" if guard.metric else f"any guardrail of {of}"
    harmed = [f"{m!r} in {arm!r}" for m, arm in evidence.harmed if guard.metric in ("", m)]
    if harmed:
        said, why = Said.HARMED, f"{of} shows harm to {', '.join(harmed)}"
    elif not evidence.units:
        said, why = Said.UNKNOWN, f"nobody was exposed to {of} yet"
    elif not (guard.metric in evidence.watched if guard.metric else evidence.watched):
        said, why = Said.UNKNOWN, f"nothing that can be believed is known of {what}"
    elif not guard.metric and evidence.unwatched:
        few = ", ".join(map(repr, sorted(evidence.unwatched)[:5]))
        said, why = Said.UNKNOWN, f"nothing that can be believed is known of {few} of {of} yet"
    else:
        said, why = Said.CLEAR, f"no harm to {what} was found"
    return Verdict(said=said, why=why, units=evidence.units, at=now)


def unknown(why: str, now: datetime) -> Verdict:
    """Return that nobody can tell, and why."""
    return Verdict(said=Said.UNKNOWN, why=why[:1000], at=now)


def guard_document(guard: Guard) -> dict[str, Any]:
    """Return a guard as a JSON document."""
    return {
        "experiment": guard.experiment,
        "metric": guard.metric,
        "on_harm": guard.on_harm.value,
    }


def guard_of(said: Mapping[str, Any] | None) -> Guard | None:
    """Return the guard that a document of ours says."""
    if said is None:
        return None
    return Guard(
        experiment=said["experiment"], metric=said["metric"], on_harm=OnHarm(said["on_harm"])
    )


def verdict_document(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as a JSON document."""
    return {
        "said": verdict.said.value,
        "why": verdict.why,
        "units": verdict.units,
        "at": verdict.at.isoformat(),
    }


def verdict_from(said: Mapping[str, Any] | None) -> Verdict | None:
    """Return the verdict that a document of ours says."""
    if said is None:
        return None
    at = datetime.fromisoformat(said["at"])
    return Verdict(said=Said(said["said"]), why=said["why"], units=said["units"], at=at)
