"""Images that are wanted, in PostgreSQL."""

from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from compute.domain.image import Image, ImageState, Progress
from compute.store.ledger_tables import ImageRow

_PROGRESS = tuple(field.name for field in fields(Progress))
_SAME = tuple(f.name for f in fields(Image) if f.name not in ("state", "progress"))


class SqlImageBook:
    """The images over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, image: Image) -> None:
        """Keep a new image."""
        self._session.add(ImageRow(**_columns(image)))
        await self._session.flush()

    async def forget(self, image_id: UUID) -> None:
        """Forget an image; whoever is having it finds its lease lost."""
        await self._session.execute(delete(ImageRow).where(ImageRow.id == image_id))

    async def claim(self, now: datetime, lease: timedelta) -> Image | None:
        """Take an image that is due and in nobody's hands, or in dead ones, of a tenant that has no other in hands."""
        waiting = and_(ImageRow.state == ImageState.WAITING.value, ImageRow.due_at <= now)
        dead = and_(ImageRow.state == ImageState.FETCHING.value, ImageRow.lease_until <= now)
        query = select(ImageRow).where(or_(waiting, dead), ~_tenant_is_served(now))
        query = query.order_by(ImageRow.due_at).limit(1)
        # Two who ask at once would not see each other's: they ask one after the other.
        turn = func.pg_advisory_xact_lock(func.hashtextextended("compute images", 0))
        await self._session.execute(select(turn))
        row = await self._session.scalar(query.with_for_update(skip_locked=True))
        if row is None:
            return None
        image = image_of(row).claimed(now, lease)
        await self._session.execute(
            update(ImageRow).where(ImageRow.id == image.id).values(**_columns(image))
        )
        return image

    async def renew(self, image: Image, progress: Progress, until: datetime) -> bool:
        """Note how far it is and hold it longer; False if the lease was lost to another."""
        said = {name: getattr(progress, name) for name in _PROGRESS}
        return await self._change(image, {**said, "lease_until": until})

    async def put(self, image: Image) -> bool:
        """Keep an image as it is now; False, and nothing is kept, if the lease was lost to another."""
        values = _columns(image)
        if image.state is not ImageState.READY:  # what was told last of how far it is stays
            values = {name: it for name, it in values.items() if name not in _PROGRESS}
        return await self._change(image, values)

    async def _change(self, image: Image, values: dict[str, Any]) -> bool:
        ours = and_(
            ImageRow.id == image.id,
            ImageRow.fence == image.fence,
            ImageRow.state == ImageState.FETCHING.value,
        )
        change = update(ImageRow).where(ours).values(**values).returning(ImageRow.id)
        return await self._session.scalar(change) is not None


def _tenant_is_served(now: datetime) -> ColumnElement[bool]:
    """Whether another image of the same tenant is in somebody's hands; those of the platform have no tenant."""
    other = aliased(ImageRow)
    held = and_(other.state == ImageState.FETCHING.value, other.lease_until > now)
    return exists().where(other.tenant == ImageRow.tenant, held)


def image_of(row: ImageRow) -> Image:
    """Return the image of a row."""
    return Image(
        **{name: getattr(row, name) for name in _SAME},
        state=ImageState(row.state),
        progress=Progress(**{name: getattr(row, name) for name in _PROGRESS}),
    )


def _columns(image: Image) -> dict[str, Any]:
    progress = {name: getattr(image.progress, name) for name in _PROGRESS}
    return {n: getattr(image, n) for n in _SAME} | progress | {"state": image.state.value}
