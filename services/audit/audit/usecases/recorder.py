"""Writing the log, with group commit: appends that come while a transaction is under way share the next one.

Nothing waits for company: a lone append is stored at once, and the busier the log is, the larger its batches get.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from audit.domain.draft import MOST_EVENTS, Draft, accepted
from audit.domain.entry import SALT, Event, read
from audit.domain.errors import TooManyEvents
from audit.domain.sequence import Counts, Head, Placed, Placing, Receipt, Seen, placed, strands_of
from audit.domain.writing import Prepared, prepared
from audit.ports import Kept, OpenWork, SeenBefore, Vault, Work
from audit.usecases.sealing import KeyCache
from audit.usecases.together import Together
from chassis.caller import Caller

_AT_ONCE = 1_000
_IN_A_GO = 50  # a millisecond or two
_MOST = 100_000


class Recorder:
    """Puts events into the logs of their tenants, each once. `dice` returns as many bytes of chance as asked for."""

    def __init__(
        self,
        work: OpenWork,
        now: Callable[[], datetime],
        dice: Callable[[int], bytes],
        vault: Vault,
    ) -> None:
        self._work = work
        self._now = now
        self._dice = dice
        self._keys = KeyCache(vault)
        self._counted = _Counted()
        self._notes: dict[UUID, str] = {}
        self._together = Together(self._store)

    async def append(self, caller: Caller, drafts: Sequence[Draft]) -> Sequence[Receipt]:
        """Store each event once, in the order given: all or none; BadEvent names the first that cannot be stored."""
        caller.must("audit:append")
        if len(drafts) > MOST_EVENTS:
            raise TooManyEvents(f"at most {MOST_EVENTS} events at once; send them in parts")
        events: list[Prepared] = []
        for first in range(0, len(drafts), _IN_A_GO):
            if first:
                await asyncio.sleep(0)  # what is being stored meanwhile shall not wait for us
            events += self._ready(first, drafts[first : first + _IN_A_GO])
        return await self._together(events) if events else []

    def _ready(self, first: int, drafts: Sequence[Draft]) -> Iterator[Prepared]:
        """Do everything that can be done without the log; the drafts are those from number `first` on."""
        salts = self._dice(2 * SALT * len(drafts))
        for index, draft in enumerate(drafts):
            event, salt = accepted(first + index, draft), salts[2 * SALT * index :][: 2 * SALT]
            yield self._keys.ahead(prepared(event, salt, draft.event_id))

    def note(self, tenant: UUID) -> str:
        """Return the newest checkpoint of a tenant that this process has met; empty for none."""
        return self._notes.get(tenant, "")

    async def record(self, work: Work, *events: Event) -> Sequence[Receipt]:
        """Put events into their logs as a part of a transaction: they are there if and only if it commits."""
        ready = [prepared(event, self._dice(2 * SALT)) for event in events]
        batch = await self._put(work, ready, _Counted(), ask=True)  # it may yet be rolled back
        return batch.receipts

    async def adopt(self) -> None:
        """Bring every log from before logs were trees into its tree."""
        async with self._work() as work:
            behind = await work.log.behind()
        for tenant in behind:
            async with self._work() as work:
                await self._lock(work, {tenant})

    async def _store(self, events: Sequence[Prepared]) -> Sequence[Receipt]:
        """Store as if all were new, since nearly always all are; if one is not, ask which."""
        try:
            return await self._stored(events, ask=False)
        except SeenBefore:
            return await self._stored(events, ask=True)

    async def _stored(self, events: Sequence[Prepared], *, ask: bool) -> Sequence[Receipt]:
        try:
            async with self._work() as work:
                batch = await self._put(work, events, self._counted, ask=ask)
        except BaseException:
            self._counted.forget({one.event.tenant for one in events})
            raise
        self._counted.believe(batch.heads)
        return batch.receipts

    async def _put(
        self, work: Work, events: Sequence[Prepared], counted: "_Counted", *, ask: bool
    ) -> Placed:
        ring = await self._keys.ring(work, events)
        heads = await self._lock(work, {one.event.tenant for one in events})
        seen: Seen = await work.log.seen(events) if ask else {}
        counts = counted.known(heads)
        strands = {t: [s for s in of if s not in counts[t]] for t, of in strands_of(events).items()}
        if any(strands.values()):
            for tenant, numbers in (await work.log.counts(strands)).items():
                counts[tenant].update(numbers)
        batch = placed(events, heads, seen, counts, self._now())
        if batch.leaves:
            kept = [Kept(leaf, ring.sealed(leaf.one)) for leaf in batch.leaves]
            self._notes.update(await work.log.enter(kept, batch.heads))
        return batch

    async def _lock(self, work: Work, tenants: set[UUID]) -> Mapping[UUID, Head]:
        heads = await work.log.lock(tenants)
        behind = [head for head in heads.values() if head.leaves < head.seq]
        return dict(heads) | {head.tenant: await self._adopted(work, head) for head in behind}

    async def _adopted(self, work: Work, head: Head) -> Head:
        """Bring the rest of a log into its tree."""
        while head.leaves < head.seq:
            bodies = await work.log.plain(head.tenant, head.leaves, _AT_ONCE)
            entries = [read(body) for body in bodies]
            events = [prepared(entry.event, self._dice(2 * SALT)) for entry in entries]
            ring = await self._keys.ring(work, events)
            counts = await work.log.counts(strands_of(events))
            placing = Placing({head.tenant: head}, counts)
            leaves = [
                placing.adopt(one, entry.seq, entry.ts)
                for one, entry in zip(events, entries, strict=True)
            ]
            (head,) = placing.heads()
            await work.log.adopt([Kept(leaf, ring.sealed(leaf.one)) for leaf in leaves], [head])
        return head


class _Counted:
    """The newest ordinals of strands, as this process left them.

    They hold while the log ends where we left it; if it does not, somebody else appended, and what we know is void.
    They are counted on in place, so whoever does not commit has to forget them.
    """

    def __init__(self) -> None:
        self._ends: dict[UUID, int] = {}
        self._known: Counts = {}

    def known(self, heads: Mapping[UUID, Head]) -> Counts:
        """Return what is known of these logs."""
        if sum(map(len, self._known.values())) > _MOST:
            self._known.clear()
        for tenant, head in heads.items():
            if self._ends.get(tenant) != head.seq:
                self._known.pop(tenant, None)
        return {tenant: self._known.setdefault(tenant, {}) for tenant in heads}

    def believe(self, heads: Sequence[Head]) -> None:
        """Remember where a transaction that is committed left the logs."""
        for head in heads:
            self._ends[head.tenant] = head.seq

    def forget(self, tenants: Iterable[UUID]) -> None:
        """Know nothing of these logs any more."""
        for tenant in tenants:
            self._ends.pop(tenant, None)
