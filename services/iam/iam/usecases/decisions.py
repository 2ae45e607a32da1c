"""What may whom? The decision function, asked over the wire: about oneself, or about others by whoever may."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from authz.decision import (
    Binding,
    Compiled,
    Explanation,
    Resource,
    Who,
    compile_subject,
    decide,
    explain,
)
from authz.verbs import masks, need_of
from chassis.caller import Caller
from chassis.pages import PageAsk
from iam.domain.errors import TooManyRows, UserNotFound
from iam.domain.grant_errors import UnknownPermission
from iam.domain.roles import SYSTEM
from iam.domain.user import User
from iam.ports import Means, OpenWork, UserQuery, Work
from iam.usecases.giving import own_role

MOST_ASKED = 10_000
Place = tuple[str, str]  # the tenant and the owner of a thing
NOWHERE: Place = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May the subject (None: the caller) do this? `kind` and `id` of the thing: empty for any of that kind."""

    permission: str
    kind: str = ""
    id: str = ""
    subject: str | None = None

    @property
    def need(self) -> tuple[str, int]:
        """The kind and the bits that are asked for; UnknownPermission if the permission is not of that kind."""
        found = need_of(self.permission) or need_of(f"{self.kind}:{self.permission}")
        if found is None or (self.kind and found[0] != self.kind):
            about = f" of {self.kind}" if self.kind else ""
            raise UnknownPermission(f"there is no permission {self.permission!r}{about}")
        return found


@dataclass(frozen=True, slots=True)
class Decisions:
    """Answers by the same function by which every service decides."""

    work: OpenWork
    means: Means

    async def check(self, caller: Caller, questions: Sequence[Question]) -> Sequence[bool]:
        """Tell for each question whether the answer is yes; who asks about others needs `role:read`."""
        if any(_about_another(caller, question) for question in questions):
            caller.must("role:read")
        needs = [question.need for question in questions]
        async with self.work() as work:
            return [
                await self._answer(work, caller, question, *need)
                for question, need in zip(questions, needs, strict=True)
            ]

    async def explain(self, caller: Caller, question: Question) -> Explanation:
        """Tell why the answer is what it is."""
        if _about_another(caller, question):
            caller.must("role:read")
        kind, need = question.need
        async with self.work() as work:
            subject = await self._subject(work, caller, question)
            return explain(subject, need, await _thing(work, subject, question, kind))

    async def who_can(self, caller: Caller, question: Question) -> Sequence[User]:
        """Return the users of the caller's tenant for whom the answer is yes."""
        caller.must("role:read")
        kind, need = question.need
        async with self.work() as work:
            on = await _thing(work, await self._caller(work, caller), question, kind)
            wanted = UserQuery(tenant=caller.tenant)
            users = (await work.users.list(wanted, PageAsk(limit=MOST_ASKED + 1))).items
        if len(users) > MOST_ASKED:
            raise TooManyRows(f"there are more than {MOST_ASKED} users; ask about one of them")
        return [user for user in users if decide(self._compiled(user), need, on)]

    async def _answer(
        self, work: Work, caller: Caller, question: Question, kind: str, need: int
    ) -> bool:
        subject = await self._subject(work, caller, question)
        return decide(subject, need, await _thing(work, subject, question, kind))

    async def _subject(self, work: Work, caller: Caller, question: Question) -> Compiled:
        if question.subject is None or question.subject == caller.subject:
            return await self._caller(work, caller)
        id_, reach = _uuid(question.subject), None if caller.platform else caller.tenant
        user = await work.users.get(reach, id_) if id_ else None
        if user is None:
            raise UserNotFound("there is no such user")
        return self._compiled(user)

    async def _caller(self, work: Work, caller: Caller) -> Compiled:
        """Return the caller with their own grants, capped by what their credential leaves of them."""
        left = masks(caller.permissions)
        user = None
        if caller.kind == "user":
            user = await work.users.get(caller.tenant, UUID(caller.subject))
        if user is not None:
            scope = None if caller.permissions >= user.permissions else left
            return self._compiled(user, scope)
        who = Who(id=caller.subject, tenant=str(caller.tenant), scope=left)
        key = Binding(role=caller.kind, masks=left, where=str(caller.tenant))
        return compile_subject(who, [key], self.means.now())

    def _compiled(self, user: User, scope: dict[str, int] | None = None) -> Compiled:
        who = Who(id=str(user.id), tenant=str(user.tenant), active=user.active, scope=scope)
        return compile_subject(who, user.bindings, self.means.now())


def _about_another(caller: Caller, question: Question) -> bool:
    return question.subject not in (None, caller.subject)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def _thing(work: Work, subject: Compiled, question: Question, kind: str) -> Resource:
    """Return what it is about. What is missing is behind the wall like what is another tenant's: both look alike.

    iam knows the owners of its own things only; about others' it answers as for a thing that somebody else owns.
    """
    find = _FIND.get(kind)
    if not question.id or find is None:
        return Resource(kind, subject.tenant, id=question.id)
    tenant, owner = await find(work, UUID(subject.tenant), question.id)
    return Resource(kind, tenant, owner=owner, id=question.id)


async def _tenant(work: Work, home: UUID, id_: str) -> Place:
    key = _uuid(id_)
    found = await work.tenants.get(key) if key else None
    return (str(found.id), "") if found else NOWHERE


async def _user(work: Work, home: UUID, id_: str) -> Place:
    key = _uuid(id_)
    found = await work.users.get(None, key) if key else None
    return (str(found.tenant), str(found.id)) if found else NOWHERE


async def _role(work: Work, home: UUID, id_: str) -> Place:
    found = SYSTEM.get(id_) or await own_role(work, None, id_)
    return (str(found.tenant or home), "") if found else NOWHERE


async def _api_key(work: Work, home: UUID, id_: str) -> Place:
    key = _uuid(id_)
    found = await work.api_keys.get(home, key) if key else None
    return (str(found.tenant), str(found.owner)) if found else NOWHERE


async def _session(work: Work, home: UUID, id_: str) -> Place:
    key = _uuid(id_)
    found = await work.sessions.get(key) if key else None
    return (str(found.tenant), str(found.user)) if found else NOWHERE


async def _invitation(work: Work, home: UUID, id_: str) -> Place:
    key = _uuid(id_)
    found = await work.invitations.get(home, key) if key else None
    return (str(found.tenant), "") if found else NOWHERE


_FIND: Mapping[str, Callable[[Work, UUID, str], Awaitable[Place]]] = {
    "tenant": _tenant,
    "user": _user,
    "role": _role,
    "api_key": _api_key,
    "session": _session,
    "invitation": _invitation,
}
