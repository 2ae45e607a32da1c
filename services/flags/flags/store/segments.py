"""Segments in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from flags.domain.analyse import segment_uses
from flags.domain.errors import SegmentKeyTaken
from flags.domain.place import Project
from flags.domain.reading import membership_of
from flags.domain.segment import Members, Segment
from flags.store.tables import SegmentListRow, SegmentRow, named

_KEY = SegmentRow.key.collate("C")


class SqlSegmentBook:
    """The segment book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, project: Project, name: str, *, lock: bool = False) -> Segment | None:
        """Return a segment by id or key; with `lock`, nobody else changes it until the work ends."""
        query = select(SegmentRow).where(
            SegmentRow.project_id == project.id, named(SegmentRow, name)
        )
        if lock:
            query = query.with_for_update().execution_options(populate_existing=True)
        row = await self._session.scalar(query)
        return None if row is None else _segment(row)

    async def members(self, segment: Segment) -> Members:
        """Return who is listed in a segment."""
        columns = select(SegmentListRow.included, SegmentListRow.excluded)
        found = await self._session.execute(columns.where(SegmentListRow.segment_id == segment.id))
        included, excluded = found.one()
        return Members(included=frozenset(included), excluded=frozenset(excluded))

    async def add(self, segment: Segment) -> None:
        """Keep a new segment, with empty lists; SegmentKeyTaken if its project has one with its key."""
        try:
            await self._session.execute(insert(SegmentRow).values(**_row(segment)))
        except IntegrityError as clash:
            if "segment_key" not in str(clash.orig):
                raise
            raise SegmentKeyTaken(f"there is a segment {segment.key!r} already") from clash
        empty = insert(SegmentListRow).values(segment_id=segment.id, included=[], excluded=[])
        await self._session.execute(empty)

    async def put(self, segment: Segment, members: Members | None = None) -> None:
        """Keep the segment as it now stands, and its lists if they are given."""
        quietly = {"synchronize_session": False}
        await self._session.execute(
            update(SegmentRow).where(SegmentRow.id == segment.id).values(**_row(segment)),
            execution_options=quietly,
        )
        if members is not None:
            lists = {"included": sorted(members.included), "excluded": sorted(members.excluded)}
            await self._session.execute(
                update(SegmentListRow)
                .where(SegmentListRow.segment_id == segment.id)
                .values(**lists),
                execution_options=quietly,
            )

    async def remove(self, segment: Segment) -> None:
        """Forget the segment."""
        await self._session.execute(
            delete(SegmentRow).where(SegmentRow.id == segment.id),
            execution_options={"synchronize_session": False},
        )

    async def every(self, project: Project) -> Sequence[Segment]:
        """Return all segments of a project, by key."""
        query = select(SegmentRow).where(SegmentRow.project_id == project.id).order_by(_KEY)
        return [_segment(row) for row in await self._session.scalars(query)]

    async def page(self, project: Project, search: str | None, ask: PageAsk) -> Slice[Segment]:
        """Return a part of a project's segments, by key."""
        mine = [SegmentRow.project_id == project.id]
        if search:
            columns = (SegmentRow.key, SegmentRow.name, SegmentRow.description)
            mine.append(or_(*(column.icontains(search, autoescape=True) for column in columns)))
        query = select(SegmentRow).where(*mine).order_by(_KEY).offset(ask.offset)
        if ask.after:
            query = query.where(_KEY > ask.after[0])  # noqa: SIM300 - SQL, not Yoda
        rows = (await self._session.scalars(query.limit(ask.limit + 1))).all()
        total = await self._session.scalar(
            select(func.count()).select_from(SegmentRow).where(*mine)
        )
        items, after = cut(rows, ask.limit, lambda row: (row.key,))
        return Slice(items=[_segment(row) for row in items], next=after, total=total)


_SAME = (
    "id",
    "tenant",
    "project_id",
    "key",
    "name",
    "description",
    "attribute",
    "kind",
    "included",
    "excluded",
    "version",
)


def _row(segment: Segment) -> dict[str, object]:
    uses = segment_uses(membership_of(segment.document))
    return {
        **{field: getattr(segment, field) for field in _SAME},
        "when": None if segment.when is None else dict(segment.when),
        "uses_flags": sorted(uses.flags),
        "uses_segments": sorted(uses.segments),
        "created_at": segment.created_at,
        "updated_at": segment.updated_at,
    }


def _segment(row: SegmentRow) -> Segment:
    return Segment(
        **{field: getattr(row, field) for field in _SAME},
        when=row.when if isinstance(row.when, dict) else None,  # type: ignore[reportUnnecessaryIsInstance]
        created_at=row.created_at.astimezone(UTC),
        updated_at=row.updated_at.astimezone(UTC),
    )
