"""Change requests: proposed, discussed, approved by others, and only then made."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from flags.domain.change_request import (
    ChangeRequest,
    Proposal,
    must_propose,
)
from flags.domain.edits import (
    Author,
    affected,
    change_of,
    needed,
    spot_of,
    state_of,
)
from flags.domain.errors import (
    ChangeRequestNotFound,
    FlagNotFound,
    NotYourChangeRequest,
    StaleChangeRequest,
)
from flags.domain.flag import Flag
from flags.domain.place import Place, Project
from flags.domain.rollout import Rollout, begun, must_ramp
from flags.domain.schedule import must_be_ahead
from flags.ports import OpenWork, Work
from flags.ports.requests import WantedRequests
from flags.usecases import rollouts, schedules
from flags.usecases.changing import Aim, Changing, rechecked, tell_switched, telling
from flags.usecases.checking import allowed, check
from flags.usecases.requested import (
    RequestAim,
    Shown,
    must_be_as_approved,
    request_fact,
    required,
    shown,
)

__all__ = ["ChangeRequests", "RequestAim", "Shown"]


@dataclass(frozen=True, slots=True)
class ChangeRequests:
    """Everything one can do about change requests."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    @property
    def changing(self) -> Changing:
        """The steps that every change takes."""
        return Changing(self.now, self.new_id)

    async def create(self, caller: Caller, aim: Aim, proposal: Proposal) -> Shown:
        """Propose something. It is tried now, so that what cannot be made is refused at once."""
        caller.must_for_some("flag:update")
        must_propose(proposal)
        async with self.work() as work:
            project, flag, proposal, touched = await self._tried(work, caller, aim, proposal)
            now = self.now()
            made = ChangeRequest(
                id=self.new_id(),
                spot=spot_of(flag, aim.place.environment),
                title=aim.reason,
                proposal=proposal,
                state=state_of(flag, aim.place.environment),
                author=Author.of(caller),
                touched=touched,
                created_at=now,
                updated_at=now,
            )
            await work.requests.add(made)
            work.record(request_fact(caller, "created", None, made))
        return shown(made, project, flag)

    async def get(self, caller: Caller, aim: RequestAim) -> Shown:
        """Return one change request."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project, found, flag = await self._found(work, caller, "flag:read", aim)
        return shown(found, project, flag)

    async def page(
        self, caller: Caller, project: str, wanted: WantedRequests, ask: PageAsk
    ) -> Slice[ChangeRequest]:
        """List change requests of a project, the newest first; to whom may not read all flags, those of their own."""
        own = caller.must_or_own("flag:read", project=project)
        bound = caller.environment or wanted.environment
        async with self.work() as work:
            home = await self._home(work, caller, project)
            mine = replace(wanted, owner=own, environment=bound)
            return await work.requests.page(home, mine, ask)

    async def edit(
        self, caller: Caller, aim: RequestAim, title: str | None, proposal: Proposal
    ) -> Shown:
        """Propose something else in one's own request, for the flag as it is now. What was approved is void."""
        caller.must_for_some("flag:update")
        must_propose(proposal)
        async with self.work() as work:
            project, before, flag = await self._locked(work, caller, "flag:update", aim)
            if before.author.account != caller.owner:
                raise NotYourChangeRequest("only its author edits a change request: make your own")
            where = Aim(flag=str(flag.id), place=before.spot.place)
            _, flag, proposal, touched = await self._tried(work, caller, where, proposal)
            state = state_of(flag, before.spot.environment)
            after = before.edited(title or before.title, proposal, state, self.now())
            after = replace(after, touched=touched)
            await work.requests.put(after)
            work.record(request_fact(caller, "edited", before, after))
        return shown(after, project, flag)

    async def approve(self, caller: Caller, aim: RequestAim) -> Shown:
        """Approve a request in the version that one has read. Not one's own, and by who could make the change."""
        caller.must_for_some("flag:update")
        return await self._judge(
            caller, aim, "approved", lambda r, now: r.approved(Author.of(caller), aim.comment, now)
        )

    async def reject(self, caller: Caller, aim: RequestAim) -> Shown:
        """Turn a request down, until its author edits it."""
        caller.must_for_some("flag:update")
        return await self._judge(
            caller, aim, "rejected", lambda r, now: r.rejected(aim.comment, now)
        )

    async def cancel(self, caller: Caller, aim: RequestAim) -> Shown:
        """Withdraw a request."""
        caller.must_for_some("flag:update")
        return await self._judge(
            caller, aim, "cancelled", lambda r, now: r.cancelled(aim.comment, now)
        )

    async def apply(self, caller: Caller, aim: RequestAim) -> Shown:
        """Make what enough others have approved, unless the flag has moved on since."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            project, before, flag = await self._locked(work, caller, "flag:update", aim)
            before.must_be_ready(required(before, project))
            made = await self._made(work, caller, before, flag)
            after = before.applied(made, self.now())
            await work.requests.put(after)
            work.record(request_fact(caller, "applied", before, after))
            flag = await work.flags.get(project, str(flag.id)) or flag
        return shown(after, project, flag)

    async def _judge(
        self,
        caller: Caller,
        aim: RequestAim,
        verdict: str,
        move: Callable[[ChangeRequest, datetime], ChangeRequest],
    ) -> Shown:
        async with self.work() as work:
            project, before, flag = await self._locked(work, caller, "flag:update", aim)
            after = move(before, self.now())
            if after is not before:
                await work.requests.put(after)
                work.record(request_fact(caller, verdict, before, after, aim.comment))
        return shown(after, project, flag)

    async def _made(self, work: Work, caller: Caller, request: ChangeRequest, flag: Flag) -> str:
        """Make what is proposed; return what it led to. FlagMovedOn if the flag is not what was approved any more."""
        spot, proposal = request.spot, request.proposal
        aim = Aim(flag=str(flag.id), place=spot.place, reason=request.title, approved=True)
        if proposal.kind == "change":
            return await self._changed(work, caller, aim, request)
        if proposal.ramp is not None:
            asked = rollouts.Asked(ramp=proposal.ramp, start=proposal.at, approved=request.id)
            rolling = rollouts.Rollouts(self.work, self.now, self.new_id)
            made = await rolling.start_in(work, caller, aim, asked)
        else:
            at, edit = proposal.at or self.now(), proposal.edit or {}
            planned = schedules.Schedules(self.work, self.now, self.new_id)
            due = schedules.Asked(at=at, edit=edit, approved=request.id)
            made = await planned.create_in(work, caller, aim, due)
        _, held = await self.changing.held(work, caller, "flag:update", aim)
        must_be_as_approved(held, request)
        return f"{proposal.kind} {made.id}"

    async def _changed(self, work: Work, caller: Caller, aim: Aim, request: ChangeRequest) -> str:
        edit = request.proposal.edit or {}
        change, takes = change_of(edit), tuple(needed(edit))
        _, flag = await self.changing.found(work, caller, takes[0], aim)
        for permission in takes:
            allowed(caller, permission, flag, flag.key)

        def move(flag: Flag, now: datetime) -> Flag:
            must_be_as_approved(flag, request)
            return flag.changed(aim.place.environment, now, change)

        tell = tell_switched if takes == ("flag:toggle",) else telling("flag.updated")
        after = await self.changing.move(work, caller, aim, (takes[-1], move), tell)
        return f"version {after.version}"

    async def _tried(
        self, work: Work, caller: Caller, aim: Aim, proposal: Proposal
    ) -> tuple[Project, Flag, Proposal, tuple[str, ...]]:
        """Return the flag, what is proposed, complete, and the environments that it touches, if it could be made."""
        project, before = await self.changing.held(work, caller, "flag:update", aim)
        where, now = aim.place.environment, self.now()
        if proposal.ramp is not None:
            rollouts.must_read_guard(caller, proposal.ramp)
            default = before.switch(where).default_variant
            ramp = replace(proposal.ramp, otherwise=proposal.ramp.otherwise or default)
            must_ramp(ramp)
            proposal = replace(proposal, ramp=ramp)
            after = begun(before, self._trial(before, where, proposal).advanced(now), now)
        else:
            edit = proposal.edit or {}
            for permission in needed(edit):
                allowed(caller, permission, before, aim.flag)
            after = before.changed(where, now, change_of(edit))
            if proposal.at is not None:
                must_be_ahead(proposal.at, now)
        await check(work, project, after, rechecked(before, after))
        return project, before, proposal, tuple(sorted(affected(before, after)))

    def _trial(self, flag: Flag, environment: str, proposal: Proposal) -> Rollout:
        assert proposal.ramp is not None
        now = self.now()
        return Rollout(
            id=self.new_id(),
            spot=spot_of(flag, environment),
            ramp=proposal.ramp,
            reason="",
            author=Author(type="", id=""),
            next_at=now,
            created_at=now,
            updated_at=now,
        )

    async def _found(
        self, work: Work, caller: Caller, permission: str, aim: RequestAim, *, lock: bool = False
    ) -> tuple[Project, ChangeRequest, Flag]:
        project = await self._home(work, caller, aim.project)
        missing = ChangeRequestNotFound("there is no such change request in this project")
        found = await work.requests.get(project, aim.request, lock=lock)
        if found is None or caller.environment not in ("", found.spot.environment):
            raise missing
        flag = await work.flags.get(project, str(found.spot.flag_id))
        try:
            return project, found, allowed(caller, permission, flag, found.spot.flag)
        except FlagNotFound as unseen:
            missing.needed = unseen.needed
            raise missing from None

    async def _locked(
        self, work: Work, caller: Caller, permission: str, aim: RequestAim
    ) -> tuple[Project, ChangeRequest, Flag]:
        project, found, flag = await self._found(work, caller, permission, aim, lock=True)
        if aim.version not in (None, found.version):
            raise StaleChangeRequest(
                f"the change request is at version {found.version} by now, not {aim.version}: read it again"
            )
        return project, found, flag

    async def _home(self, work: Work, caller: Caller, project: str) -> Project:
        place = Place(caller.tenant, project, caller.environment or "production")
        return await self.changing.project(work, place)
