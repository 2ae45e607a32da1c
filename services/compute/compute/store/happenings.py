"""What was asked of machines and what happened to them, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from compute.domain.happening import Happening, Level
from compute.domain.operation import Operation, Outcome
from compute.store.tables import LogRow, OperationRow

MOST = 5000


class SqlOperationBook:
    """The operations over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, operation_id: UUID) -> Operation | None:
        """Return the operation; None if there is none."""
        named = (OperationRow.id == operation_id) & (OperationRow.tenant == tenant)
        query = select(OperationRow).where(named).execution_options(populate_existing=True)
        row = await self._session.scalar(query)
        return _operation_of(row) if row else None

    async def open_of(self, vm_id: UUID) -> Sequence[Operation]:
        """Return what was asked of a machine and has not ended."""
        running = OperationRow.status == Outcome.RUNNING.value
        rows = await self._session.scalars(
            select(OperationRow).where(OperationRow.vm_id == vm_id, running)
        )
        return [_operation_of(row) for row in rows]

    async def add(self, operation: Operation) -> None:
        """Keep a new operation."""
        self._session.add(OperationRow(**asdict(operation)))
        await self._session.flush()

    async def put(self, operation: Operation) -> None:
        """Keep an operation as it is now."""
        row = update(OperationRow).where(OperationRow.id == operation.id)
        await self._session.execute(row.values(**asdict(operation)))

    async def forget(self, before: datetime) -> None:
        """Forget operations that ended before, some thousand at most."""
        old = select(OperationRow.id).where(OperationRow.finished_at < before).limit(MOST)
        await self._session.execute(delete(OperationRow).where(OperationRow.id.in_(old)))


class SqlLog:
    """What happened to machines, over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, vm_id: UUID, happening: Happening) -> None:
        """Keep something that happened to a machine."""
        self._session.add(LogRow(vm_id=vm_id, **asdict(happening)))
        await self._session.flush()

    async def last(self, vm_id: UUID, limit: int) -> Sequence[Happening]:
        """Return what happened last, the oldest of it first."""
        query = select(LogRow).where(LogRow.vm_id == vm_id).order_by(LogRow.seq.desc()).limit(limit)
        rows = (await self._session.scalars(query)).all()
        return [Happening(row.at, Level(row.level), row.message) for row in reversed(rows)]

    async def forget(self, vm_id: UUID) -> None:
        """Forget what happened to a machine that is gone."""
        await self._session.execute(delete(LogRow).where(LogRow.vm_id == vm_id))

    async def trim(self, lines: int) -> None:
        """Forget all but the last so many lines of each machine, of a hundred machines at most."""
        long = select(LogRow.vm_id).group_by(LogRow.vm_id).having(func.count() > lines).limit(100)
        for vm_id in await self._session.scalars(long):
            of_it = select(LogRow.seq).where(LogRow.vm_id == vm_id).order_by(LogRow.seq.desc())
            last = of_it.offset(lines - 1).limit(1).scalar_subquery()
            gone = delete(LogRow).where(LogRow.vm_id == vm_id, LogRow.seq < last)
            await self._session.execute(gone)


def _operation_of(row: OperationRow) -> Operation:
    return Operation(
        id=row.id,
        tenant=row.tenant,
        vm_id=row.vm_id,
        owner_id=row.owner_id,
        action=row.action,
        generation=row.generation,
        asked_by=row.asked_by,
        created_at=row.created_at,
        status=Outcome(row.status),
        detail=row.detail,
        finished_at=row.finished_at,
        snapshot_id=row.snapshot_id,
    )
