"""What may whom? The decision function, asked over the wire: about oneself, or about others by whoever may.

It is the decision that gRPC `Check` makes from a replica, made here from the rows: roles at every scope, own things,
groups, the lists of projects and of iam's own things.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from authz.decision import Compiled, Explanation, Resource, Who, compile_subject, decide, explain
from authz.verbs import need_of
from chassis.caller import Caller
from chassis.pages import PageAsk
from iam.domain.errors import TooManyRows, UserNotFound
from iam.domain.grant_errors import UnknownPermission
from iam.domain.machine import Machine
from iam.domain.names import as_id
from iam.domain.user import User
from iam.ports import Means, OpenWork, UserQuery, Work
from iam.usecases.gitops_asker import DEPTH, recognised
from iam.usecases.targets import About, found

MOST_ASKED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """May the subject (None: the caller) do this? `kind` and `id` of the thing: empty for any of that kind.

    Of a thing that iam does not keep, `owner` and `project` (its slug) say what its service knows.
    """

    permission: str
    kind: str = ""
    id: str = ""
    owner: str = ""
    project: str = ""
    subject: str | None = None

    @property
    def need(self) -> tuple[str, int]:
        """The kind and the bits that are asked for; UnknownPermission if the permission is not of that kind."""
        found = need_of(self.permission) or need_of(f"{self.kind}:{self.permission}")
        if found is None or (self.kind and found[0] != self.kind):
            about = f" of {self.kind}" if self.kind else ""
            raise UnknownPermission(f"there is no permission {self.permission!r}{about}")
        return found

    @property
    def about(self) -> About:
        """What it is about."""
        return About(kind=self.need[0], id=self.id, owner=self.owner, project=self.project)


class Asked(NamedTuple):
    """Somebody who is asked about, and under which names a list can mean them."""

    compiled: Compiled
    names: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Answers by the same function by which every service decides."""

    work: OpenWork
    means: Means

    async def check(self, caller: Caller, questions: Sequence[Question]) -> Sequence[bool]:
        """Tell for each question whether the answer is yes; who asks about others needs `role:read`."""
        if any(_about_another(caller, question) for question in questions):
            caller.must("role:read")
        needs = [question.need[1] for question in questions]
        async with self.work() as work:
            seen = [await self._seen(work, caller, question) for question in questions]
        pairs = zip(seen, needs, strict=True)
        return [decide(compiled, need, on) for (compiled, on), need in pairs]

    async def explain(self, caller: Caller, question: Question) -> Explanation:
        """Tell why the answer is what it is."""
        if _about_another(caller, question):
            caller.must("role:read")
        need = question.need[1]
        async with self.work() as work:
            compiled, on = await self._seen(work, caller, question)
        return explain(compiled, need, on)

    async def who_can(self, caller: Caller, question: Question) -> Sequence[User]:
        """Return the users of the caller's tenant for whom the answer is yes."""
        caller.must("role:read")
        need = question.need[1]
        async with self.work() as work:
            target = await (await found(work, caller.tenant, question.about)).spread(work)
            wanted = UserQuery(tenant=caller.tenant)
            users = (await work.users.list(wanted, PageAsk(limit=MOST_ASKED + 1))).items
        if len(users) > MOST_ASKED:
            raise TooManyRows(f"there are more than {MOST_ASKED} users; ask about one of them")
        return [u for u in users if decide(self._compiled(u), need, target.to([u.id]))]

    async def _seen(
        self, work: Work, caller: Caller, question: Question
    ) -> tuple[Compiled, Resource]:
        """Return who is asked about, and the thing as the decision sees it for them."""
        compiled, names = await self._subject(work, caller, question)
        target = await found(work, UUID(compiled.tenant), question.about)
        return compiled, target.to(names)

    async def _subject(self, work: Work, caller: Caller, question: Question) -> Asked:
        if question.subject is None or question.subject == caller.subject:
            asker = await recognised(work, caller, self.means.now())
            return Asked(asker.compiled, asker.names)
        id_, reach = as_id(question.subject), None if caller.platform else caller.tenant
        user = await work.users.get(reach, id_) if id_ else None
        known = user or (await work.machines.get(caller.tenant, id_) if id_ else None)
        if known is None:
            raise UserNotFound("there is no such user")
        names = await work.entities.groups(known.id, DEPTH) | {known.id}
        return Asked(self._compiled(known), names)

    def _compiled(self, user: User | Machine) -> Compiled:
        who = Who(id=str(user.id), tenant=str(user.tenant), active=user.active)
        return compile_subject(who, user.bindings, self.means.now())


def _about_another(caller: Caller, question: Question) -> bool:
    return question.subject not in (None, caller.subject)
