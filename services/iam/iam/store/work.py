"""One transaction over the iam schema."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.context import asked
from chassis.db import AMBIENT, Sessions, after_commit, transaction
from chassis.facts import Fact
from iam.domain.authority import Kind
from iam.domain.happening import Note, notes_of
from iam.domain.session import Issuer
from iam.ports import OpenWork, Work
from iam.store.accounts import SqlAccounts
from iam.store.api_keys import SqlApiKeys
from iam.store.authority import SqlAuthority
from iam.store.bindings import SqlBindings, SqlGuests
from iam.store.counts import SqlCounts
from iam.store.external import SqlExternal
from iam.store.gitops import SqlEntities
from iam.store.happenings import SqlHappenings
from iam.store.invitations import SqlInvitations
from iam.store.machines import SqlMachines
from iam.store.resets import SqlResets
from iam.store.roles import SqlRoles
from iam.store.sessions import SqlSessions
from iam.store.signing_keys import SqlSigningKeys
from iam.store.tables import Outbox
from iam.store.tenants import SqlTenants
from iam.store.users import SqlUsers

EPOCH = "x-authz-epoch"
Wake = Callable[[], None]
Settled = Callable[[int], Awaitable[None]]


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession, issuer: Issuer, facts: Wake) -> None:
        self._session = session
        self._facts = facts
        self._changes: dict[tuple[Kind, str], None] = {}
        self._notes: dict[Note, None] = {}
        self.tenants = SqlTenants(session)
        self.accounts = SqlAccounts(session)
        self.users = SqlUsers(session)
        self.machines = SqlMachines(session)
        self.roles = SqlRoles(session)
        self.bindings = SqlBindings(session)
        self.guests = SqlGuests(session)
        self.external = SqlExternal(session)
        self.invitations = SqlInvitations(session)
        self.api_keys = SqlApiKeys(session)
        self.sessions = SqlSessions(session)
        self.resets = SqlResets(session)
        self.counts = SqlCounts(session)
        self.happenings = SqlHappenings(session)
        self.entities = SqlEntities(session, self.changed)
        self.signing_keys = SqlSigningKeys(session)
        self.authority = SqlAuthority(session, issuer)

    async def alone(self, name: str) -> None:
        """Wait until nobody else does what is called `name`, and keep others from it until the work ends."""
        lock = func.pg_advisory_xact_lock(func.hashtextextended(f"iam {name}", 0))
        await self._session.execute(select(lock))

    def changed(self, kind: Kind, id_: str) -> None:
        """Note that replicas must hear of a thing: kept with the change, told after it."""
        self._changes[kind, id_] = None

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change; whoever listens hears of it too."""
        self._notes |= dict.fromkeys(notes_of(fact))
        outbox.record(self._session, Outbox, fact, self._facts)

    async def close(self, news: Wake) -> int:
        """Log the changes last of all, so that the row which orders them is held for the shortest time.

        Return the position of the last one; 0 if there is none.
        """
        if self._notes:
            after_commit(self._session, news)
            await self.happenings.append(list(self._notes))
        if not self._changes:
            return 0
        after_commit(self._session, news)
        return await self.authority.append(self._changes)


def sql_work(
    sessions: Sessions, issuer: Issuer, facts: Wake, news: Wake, settled: Settled
) -> OpenWork:
    """Return the opener of transactions; a commit wakes the relay of facts and the feed of changes.

    Whoever changed authority goes on when the change is in force in this process, if that is soon: so nobody who
    was answered that a session has ended sees it work once more. An idempotent request commits later than its work;
    it cannot wait here. The answer says the position of the change in the log, so that whoever got it can ask another
    service to decide by nothing older.
    """

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            made = SqlWork(session, issuer, facts)
            yield made
            if epoch := await made.close(news):
                asked().answer[EPOCH] = str(epoch)
        if epoch and AMBIENT.get() is None:
            await settled(epoch)

    return work
