"""Turning the database's refusal of a second one into the fault that it is."""

from collections.abc import Mapping

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Fault


async def flushed(session: AsyncSession, faults: Mapping[str, Fault]) -> None:
    """Send what is pending to the database; raise the fault that belongs to the constraint that objects."""
    try:
        await session.flush()
    except IntegrityError as error:
        cause = error.orig.__cause__ if error.orig else None
        fault = faults.get(str(getattr(cause, "constraint_name", "")))
        if fault is None:
            raise
        raise fault from error
