"""What a reader may ask of a log. The same question is asked of rows in SQL (store/log.py) and of entries here."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from audit.domain.entry import Entry, folded, words
from audit.domain.errors import BadRange
from chassis.errors import FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which entries are wanted; an empty field wants any. Both ends of the range of dates belong to it.

    `action_type` is a verb (toggle_enabled) or a whole action (flag.toggle_enabled). Each word of `q` must occur in
    what people call by name: actor, target, action, reason.
    """

    user_id: str = ""
    entity_id: str = ""
    entity_type: str = ""
    action_type: str = ""
    from_date: datetime | None = None
    to_date: datetime | None = None
    q: str = ""
    tenant: UUID | None = None
    terms: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(dict.fromkeys(folded(self.q).split())))
        if self.from_date and self.to_date and self.from_date > self.to_date:
            wrong = FieldError("query:from_date", "is after to_date")
            raise BadRange("from_date is after to_date", errors=(wrong,))

    @property
    def noun(self) -> str:
        """The noun that the action must have; empty for any."""
        return self.action_type.rpartition(".")[0]

    @property
    def verb(self) -> str:
        """The verb that the action must have; empty for any."""
        return self.action_type.rpartition(".")[2]

    @property
    def narrow(self) -> bool:
        """Whether anything but the range of dates is asked for."""
        return bool(
            self.user_id or self.entity_id or self.entity_type or self.action_type or self.terms
        )

    def matches(self, entry: Entry) -> bool:
        """Tell whether an entry is wanted."""
        event = entry.event
        asked = (
            (self.user_id, event.actor.id),
            (self.entity_id, event.target.id),
            (self.entity_type, event.target.type),
            (self.noun, event.noun),
            (self.verb, event.verb),
        )
        return (
            all(want in ("", has) for want, has in asked)
            and (self.from_date is None or entry.ts >= self.from_date)
            and (self.to_date is None or entry.ts <= self.to_date)
            and all(term in words(event) for term in self.terms)
        )
