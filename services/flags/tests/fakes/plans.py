"""Plans, requests and those who answer for them, in memory."""

from chassis.errors import Unauthenticated, Unavailable
from chassis.pages import Slice, cut
from flags.domain.errors import AuthorGone
from flags.domain.guard import Evidence
from flags.domain.rollout import Rollout


class MemoryPlans:
    """Scheduled changes, or rollouts, over a dictionary."""

    def __init__(self, kept, waiting):
        self._kept, self._waiting = kept, waiting

    def _of(self, flag, environment=None):
        return [
            p
            for _, p in sorted(self._kept.items())
            if p.spot.flag_id == flag.id and environment in (None, p.spot.environment)
        ]

    async def add(self, plan):
        self._kept[plan.id] = plan

    async def put(self, plan):
        self._kept[plan.id] = plan

    async def get(self, flag, id_, *, lock=False):
        return next((p for p in self._of(flag) if p.id == id_), None)

    async def page(self, flag, environment, ask):
        mine = self._of(flag, environment)[::-1]
        rest = [p for p in mine if not ask.after or str(p.id) < ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda p: (str(p.id),))
        return Slice(items=items, next=after, total=len(mine))

    async def count(self, flag):
        return len([p for p in self._of(flag) if p.status in self._waiting])

    async def pending(self, flag, environment):
        return [p for p in self._of(flag, environment) if p.status in self._waiting]

    async def unfinished(self, flag, environment):
        return next(iter(await self.pending(flag, environment)), None)

    async def claim(self, now):
        due = [
            p
            for p in self._kept.values()
            if p.status in self._waiting and p.next_at and p.next_at <= now and not _guarded(p)
        ]
        return min(due, key=lambda p: (p.next_at, p.id), default=None)

    async def to_look_at(self, now):
        due = [p for p in self._kept.values() if p.look_at and p.look_at <= now]
        return min(due, key=lambda p: (p.look_at, p.id), default=None)


def _guarded(plan):
    return isinstance(plan, Rollout) and plan.ramp.guard is not None


class MemoryRequests:
    """Change requests over a dictionary."""

    def __init__(self, kept, flags):
        self._kept, self._flags = kept, flags

    async def add(self, request):
        self._kept[request.id] = request

    async def put(self, request):
        self._kept[request.id] = request

    async def get(self, project, request, *, lock=False):
        found = self._kept.get(request)
        return found if found and found.spot.project_id == project.id else None

    async def page(self, project, wanted, ask):
        mine = [
            r
            for _, r in sorted(self._kept.items(), reverse=True)
            if r.spot.project_id == project.id
            and wanted.status in (None, r.status)
            and wanted.environment in (None, r.spot.environment)
            and wanted.flag in (None, r.spot.flag)
            and any((wanted.search or "").lower() in t.lower() for t in (r.title, r.spot.flag))
            and wanted.owner in (None, self._flags[r.spot.flag_id].owner_id)
        ]
        rest = [r for r in mine if not ask.after or str(r.id) < ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda r: (str(r.id),))
        return Slice(items=items, next=after, total=len(mine))


class KnownAuthors:
    """Authors who may what a test says; by default, what they always could."""

    def __init__(self, *callers):
        self.callers = {caller.owner: caller for caller in callers}
        self.away = False

    def caller(self, author, spot):
        if self.away:
            raise Unavailable("iam is away")
        if author.account not in self.callers:
            raise AuthorGone("the account is gone")
        return self.callers[author.account]


class Lab:
    """Experiments that tell what a test says: evidence, or a failure to be raised. `between` runs while it is asked."""

    def __init__(self):
        self.says = Evidence(watched=frozenset({"errors"}), units=100)
        self.asked = []
        self.between = None

    async def evidence(self, tenant, experiment):
        self.asked.append((tenant, experiment))
        if self.between is not None:
            await self.between()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class KnownPeople:
    """An identity that knows callers by a name in the Authorization header."""

    def __init__(self, **people):
        self.people = people

    async def of(self, headers):
        name = headers.get("authorization", "").removeprefix("Bearer ")
        if name not in self.people:
            raise Unauthenticated("an access token or an API key is needed", code="no_credential")
        return self.people[name]
