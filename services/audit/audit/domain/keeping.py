"""How long a log is kept, and who was taken out of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

LEAST_DAYS, MOST_DAYS = 1, 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a tenant's entries are kept: `days` (None: for ever). A legal hold keeps them whatever that says."""

    tenant: UUID
    days: int | None = None
    legal_hold: bool = False
    version: int = 0
    updated_at: datetime | None = None

    def changed(self, days: int | None, now: datetime, *, legal_hold: bool) -> "Retention":
        """Return the retention with new terms."""
        return replace(
            self, days=days, legal_hold=legal_hold, version=self.version + 1, updated_at=now
        )

    def before(self, now: datetime) -> datetime | None:
        """Return the time before which entries go; None if all stay."""
        return None if self.days is None or self.legal_hold else now - timedelta(days=self.days)

    def said(self) -> dict[str, object]:
        """Return what the log says of it."""
        return {"days": self.days, "legal_hold": self.legal_hold}


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """That a person was taken out of a tenant's log."""

    id: UUID
    tenant: UUID
    person: str
    at: datetime
    asked_by: str
    reason: str
