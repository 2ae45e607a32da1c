"""Reports: a result that somebody saved, with their words, and who may read it.

private: its owner and who manages reports. tenant: who reads reports, once it is approved. link: also whoever has the
link, until it is revoked. Of a link only the hash is kept, so nobody can read it off the database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypedDict
from uuid import UUID

from experiments.domain.errors import VersionStale


class Access(StrEnum):
    """Who may read a report."""

    PRIVATE = "private"
    TENANT = "tenant"
    LINK = "link"


class ReportChanges(TypedDict, total=False):
    """What may be changed about a report, where said."""

    title: str
    note: str
    access: Access
    approved_by: str
    link: bytes | None
    result: Mapping[str, Any]
    plan_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A saved result of an experiment. `link` is the hash of its token, `plan_hash` that of the plan back then."""

    id: UUID
    tenant: UUID
    experiment_id: UUID
    experiment_key: str
    title: str
    owner_id: str
    result: Mapping[str, Any]
    plan_hash: str
    note: str = ""
    access: Access = Access.PRIVATE
    approved_by: str = ""
    link: bytes | None = None
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def approved(self) -> bool:
        """Whether somebody stands for it."""
        return bool(self.approved_by)

    def changed(self, changes: ReportChanges, now: datetime) -> "Report":
        """Return the report with these changes; itself where they change nothing. No link but with access by link."""
        after = replace(self, **changes)
        if after.access is not Access.LINK:
            after = replace(after, link=None)
        if after == self:
            return self
        return replace(after, version=self.version + 1, updated_at=now)

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            raise VersionStale(f"the report is at version {self.version}, not {version}")


def hashed(token: str) -> bytes:
    """Return what is kept of a link's token."""
    return sha256(token.encode()).digest()
