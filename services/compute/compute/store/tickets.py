"""Tickets to consoles, in PostgreSQL."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from compute.domain.ticket import Ticket
from compute.store.tables import TicketRow


class SqlTickets:
    """The tickets over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, ticket: Ticket) -> None:
        """Keep a ticket."""
        self._session.add(TicketRow(**asdict(ticket)))
        await self._session.flush()

    async def redeem(self, wanted: Ticket) -> bool:
        """Use up a ticket; tell whether there was such a one, for this person and machine, still good at `until`."""
        gone = delete(TicketRow).where(
            TicketRow.digest == wanted.digest,
            TicketRow.tenant == wanted.tenant,
            TicketRow.vm_id == wanted.vm_id,
            TicketRow.subject == wanted.subject,
            TicketRow.until > wanted.until,
        )
        return await self._session.scalar(gone.returning(TicketRow.digest)) is not None

    async def forget(self, before: datetime) -> None:
        """Forget the tickets that nobody used in time."""
        await self._session.execute(delete(TicketRow).where(TicketRow.until < before))
