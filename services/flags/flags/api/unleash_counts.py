"""What Unleash's SDKs count: how often a feature was on or off, and which variants it had."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from flags.api.desks import Desk
from flags.domain.ruleset import Stored, variants_of
from flags.domain.usage import Served
from flags.domain.values import FlagType, Value

MOST = 10**9  # of one count: more is no count of a minute
UNKNOWN = "UNKNOWN"  # an SDK does not say why it served what it served

ASKED = Counter("flags_unleash_evaluations", "Evaluations that Unleash's SDKs tell of", ["enabled"])

Count = Annotated[int, Field(ge=0, le=MOST)]
Key = Annotated[str, StringConstraints(max_length=500)]


class Said(BaseModel):
    """What an SDK says: what we know of it is checked, what we do not know is let pass."""

    model_config = ConfigDict(extra="ignore")


class Toggled(Said):
    """How often a feature was enabled, and not, and which variants it had."""

    yes: Count = 0
    no: Count = 0
    variants: dict[Key, Count] = Field(default_factory=dict, max_length=1_000)


class Bucket(Said):
    """What an SDK counted in a while."""

    toggles: dict[Key, Toggled] = Field(default_factory=dict, max_length=10_000)


class Metrics(Said):
    """Counts of an SDK."""

    appName: str = Field(default="", max_length=500)  # noqa: N815 - Unleash's words
    bucket: Bucket | None = None


def count(desk: Desk, said: Metrics) -> None:
    """Count what an SDK served by itself, as far as its key may see the flags; what nobody knows is left out."""
    toggles = noted(said)
    for row in desk.held.source.rows:
        toggled = toggles.get(row.key)
        if toggled and desk.ruleset.seen_as(row.key, client_side=desk.client_side):
            for variant, number in _served(row, toggled):
                desk.held.tally.told[Served(row.key, variant, UNKNOWN)] += number


def noted(said: Metrics) -> Mapping[str, Toggled]:
    """Add what an SDK counted to our metrics; return it by flag."""
    toggles = (said.bucket or Bucket()).toggles
    for toggled in toggles.values():
        ASKED.labels("true").inc(toggled.yes)
        ASKED.labels("false").inc(toggled.no)
    return toggles


def _served(row: Stored, toggled: Toggled) -> Iterator[tuple[str, int]]:
    """Yield how often each variant was served; under no name what was only asked to be on or off."""
    try:
        variants = variants_of(row)
    except (
        ValueError
    ):  # what is stored makes no sense: it was asked for, nobody knows what it served
        variants = dict[str, Value]()
    if row.type == FlagType.BOOLEAN:
        found = [(_only(variants, on=True), toggled.yes), (_only(variants, on=False), toggled.no)]
    else:
        found = [(name, number) for name, number in toggled.variants.items() if name in variants]
        named = sum(number for _, number in found)
        found.append(("", max(0, toggled.yes + toggled.no - named)))
    yield from ((name, number) for name, number in found if number)


def _only(variants: Mapping[str, Value], *, on: bool) -> str:
    """Return the name of the one variant with this value; none if several have it."""
    names = [name for name, value in variants.items() if value is on]
    return names[0] if len(names) == 1 else ""
