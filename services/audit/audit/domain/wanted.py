"""What a reader may ask of a log. The same question is asked of rows in SQL (store/log.py) and of entries here."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from audit.domain.entry import Entry, folded, instant, names, words
from audit.domain.errors import BadRange
from audit.domain.strands import STRANDS, values
from chassis.errors import FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries are wanted; an empty field wants any. Both ends of the range of dates belong to it.

    `action_type` is a verb (toggle_enabled) or a whole action (flag.toggle_enabled). Each word of `q` must occur in
    what people call by name: actor, target, action, reason. A person is found by every name that they ever had here.
    """

    user_id: str = ""
    entity_id: str = ""
    entity_type: str = ""
    action_type: str = ""
    from_date: datetime | None = None
    to_date: datetime | None = None
    outcome: str = ""
    q: str = ""
    tenant: UUID | None = None
    terms: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(dict.fromkeys(folded(self.q).split())))
        if self.from_date and self.to_date and self.from_date > self.to_date:
            wrong = FieldError("query:from_date", "is after to_date")
            raise BadRange("from_date is after to_date", errors=(wrong,))

    @property
    def strands(self) -> dict[int, str]:
        """The strands that an entry must be in: which of STRANDS, and its value."""
        whole = "." in self.action_type
        asked = {
            "actor": self.user_id,
            "entity": self.entity_id,
            "entity_type": self.entity_type,
            "verb": "" if whole else self.action_type,
            "action": self.action_type if whole else "",
            "outcome": self.outcome,
        }
        return {STRANDS.index(name): value for name, value in asked.items() if value}

    @property
    def filters(self) -> dict[str, str]:
        """What was asked for, in the words of whoever asked."""
        given = {
            "user_id": self.user_id,
            "entity_id": self.entity_id,
            "entity_type": self.entity_type,
            "action_type": self.action_type,
            "outcome": self.outcome,
            "q": self.q,
            "from_date": instant(self.from_date) if self.from_date else "",
            "to_date": instant(self.to_date) if self.to_date else "",
        }
        return {name: value for name, value in given.items() if value}

    def matches(self, entry: Entry, called: str | None = None) -> bool:
        """Tell whether an entry is wanted. `called` is every name of its people; those of the entry if not given."""
        event = entry.event
        has = values(event)
        text = (
            f"{words(event)}\n{called if called is not None else ' '.join(names(event).values())}"
        )
        return (
            all(has[which] == value for which, value in self.strands.items())
            and (self.from_date is None or entry.ts >= self.from_date)
            and (self.to_date is None or entry.ts <= self.to_date)
            and all(term in text for term in self.terms)
        )
