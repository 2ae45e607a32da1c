"""Revisions in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from flags.domain.flag import Flag
from flags.domain.place import Project
from flags.domain.revision import Document, Revision, stored_at
from flags.domain.ruleset import Stored
from flags.store.flags import whole_of
from flags.store.tables import FlagRow, RevisionRow


class SqlRevisionBook:
    """The revision book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, revision: Revision) -> None:
        """Keep what a change left."""
        await self._session.execute(insert(RevisionRow).values(**_row(revision)))

    async def get(self, flag: Flag, number: int) -> Revision | None:
        """Return one revision of a flag."""
        found = await self._session.get(RevisionRow, (flag.id, number))
        return None if found is None else _revision(found, found.document)

    async def page(self, flag: Flag, ask: PageAsk) -> Slice[Revision]:
        """Return a part of a flag's revisions, newest first, without their documents, which may be large."""
        mine = RevisionRow.flag_id == flag.id
        columns = [getattr(RevisionRow, name) for name in (*_SAME, "at")]
        query = select(*columns).where(mine).order_by(RevisionRow.number.desc())
        if ask.after:
            query = query.where(RevisionRow.number < int(ask.after[0]))
        rows = (await self._session.execute(query.offset(ask.offset).limit(ask.limit + 1))).all()
        total = await self._session.scalar(
            select(func.count()).select_from(RevisionRow).where(mine)
        )
        items, after = cut(rows, ask.limit, lambda row: (str(row.number),))
        return Slice(items=[_revision(row, {}) for row in items], next=after, total=total)

    async def served_at(
        self, project: Project, environment: str, moment: datetime
    ) -> Sequence[Stored]:
        """Return what an environment had to serve at a moment, as far as its flags still exist."""
        query = (
            select(RevisionRow, FlagRow)
            .join(FlagRow, FlagRow.id == RevisionRow.flag_id)
            .where(FlagRow.project_id == project.id, RevisionRow.at <= moment)
            .ext(distinct_on(RevisionRow.flag_id))
            .order_by(RevisionRow.flag_id, RevisionRow.number.desc())
        )
        found = [
            stored_at(whole_of(project, flag), revision.document, environment)
            for revision, flag in (await self._session.execute(query)).all()
        ]
        return [stored for stored in found if stored is not None]


_SAME = ("flag_id", "number", "actor_type", "actor_id", "actor_name", "action", "reason")


def _row(revision: Revision) -> dict[str, object]:
    said = {field: getattr(revision, field) for field in _SAME}
    return {**said, "at": revision.at, "document": dict(revision.document)}


def _revision(row: Any, document: Document) -> Revision:  # noqa: ANN401 - a row, or some columns of it
    said = {field: getattr(row, field) for field in _SAME}
    return Revision(**said, at=row.at.astimezone(UTC), document=document)
