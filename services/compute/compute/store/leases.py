"""Leases on machines, in PostgreSQL: a row for each, with a fence that grows with each change of holder."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.leases import HOLDER, hold
from compute.store.tables import Lease

SECONDS = 5.0


class SqlLeases:
    """The leases over one session."""

    def __init__(self, session: AsyncSession, holder: str = HOLDER) -> None:
        self._session = session
        self._holder = holder

    async def hold(self, vm_id: UUID) -> int | None:
        """Take or renew the lease on a machine; return its fence, or None while another holds it."""
        return await hold(self._session, Lease, f"vm:{vm_id}", SECONDS, self._holder)

    async def renew(self, vm_id: UUID, fence: int) -> bool:
        """Hold a machine longer, and keep it from being taken until the work ends; False if another has taken it.

        One that is over and that nobody has taken is ours still: no other has done anything since.
        """
        ours = Lease.name == f"vm:{vm_id}", Lease.holder == self._holder, Lease.fence == fence
        later = update(Lease).where(*ours).values(until=func.now() + timedelta(seconds=SECONDS))
        return await self._session.scalar(later.returning(Lease.fence)) is not None

    async def drop(self, vm_id: UUID) -> None:
        """Forget the lease of a machine that is gone."""
        await self._session.execute(delete(Lease).where(Lease.name == f"vm:{vm_id}"))
