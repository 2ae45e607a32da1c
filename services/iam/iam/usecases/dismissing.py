"""How somebody is a guest of a tenant no more: what they held there goes, keys too; their account stays."""

from datetime import datetime

from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain.authority import Kind
from iam.domain.user import User, must_hold, over_people
from iam.ports import Work
from iam.usecases.ending import end_sessions, revoke_keys
from iam.usecases.facts import guest_fact
from iam.usecases.giving import administered


async def dismissed(work: Work, caller: Caller, guest: User, now: datetime) -> None:
    """Let a guest go, by themselves or by who could change them; a tenant's last administrator stays."""
    leaves = (caller.account or caller.subject) == str(guest.id)
    if not leaves:
        must_hold(caller, over_people(guest.entitled))
    async with administered(work, guest.tenant):
        await work.guests.remove(guest.id, guest.tenant)
    work.changed(Kind.SUBJECT, str(guest.id))
    work.record(guest_fact(Actor.of(caller), "left" if leaves else "removed", guest))
    why = "the guest is in the organization no more"
    await end_sessions(work, Actor.of(caller), guest.id, now, why, tenant=guest.tenant)
    await revoke_keys(work, Actor.of(caller), guest.tenant, guest.id, now)
