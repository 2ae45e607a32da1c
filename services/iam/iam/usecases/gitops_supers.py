"""Super-permissions: powers over the whole platform, each a thing in a collection that says who holds it.

They are bindings of built-in roles to users. What is shown here is a view of those; writing it writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from authz.verbs import CUSTOM1, FETCH, masks
from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain.authority import Kind
from iam.domain.errors import MoreThanYouHold
from iam.domain.gitops import C, Draft, Entity, Ref, bad_field, principal_key
from iam.domain.gitops_errors import BadKey, KeyTaken, nothing
from iam.domain.names import as_id
from iam.domain.roles import SUPER
from iam.domain.user import User, check_change
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import user_fact
from iam.usecases.gitops_asker import Asker
from iam.usecases.gitops_asker import recognised as _recognised

_NONE = UUID(int=0)
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)  # a view has no state, and shows none


@dataclass(frozen=True, slots=True)
class Supers:
    """See and say who holds super-permissions."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller) -> Sequence[Entity]:
        """Return every super-permission; none to whoever may not look at the platform's configuration."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await _recognised(work, caller, self.means.now())
            names = SUPER if asker.everywhere("platform", FETCH) else ()
            return [await self._shown(work, caller, name) for name in names]

    async def get(self, caller: Caller, ref: Ref) -> Entity:
        """Return one super-permission with its holders."""
        caller.must_be_known()
        async with self.work() as work:
            await self._reader(work, caller, ref)
            return await self._shown(work, caller, ref.key)

    async def create(self, caller: Caller, draft: Draft) -> Entity:
        """Refuse: what there is to be held is code."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await _recognised(work, caller, self.means.now())
        if not asker.everywhere("role", CUSTOM1):
            raise nothing("role:assign_users")
        if draft.key in SUPER:
            raise KeyTaken(f"{draft.key} exists; PUT or POST to its own path says who holds it")
        raise BadKey(f"there are these permissions and no others: {', '.join(SUPER)}")

    async def write(self, caller: Caller, ref: Ref, draft: Draft, *, whole: bool) -> Entity:
        """Say who holds a super-permission: exactly those who are named, or without `whole` nobody new if none is."""
        caller.must_be_known()
        draft.called(C.PERMISSIONS, ref.key).checked(C.PERMISSIONS, whole=whole)
        async with self.work() as work:
            asker = await self._giver(work, caller, ref)
            before = await self._shown(work, caller, ref.key)
            ref.checked(before, draft)
            if whole or "principals" in draft.fields:
                wanted = await self._named(work, caller, draft.fields.get("principals") or ())
                await self._give(work, asker, ref.key, wanted)
            return await self._shown(work, caller, ref.key)

    async def delete(self, caller: Caller, ref: Ref) -> None:
        """Take a super-permission from all who hold it."""
        caller.must_be_known()
        async with self.work() as work:
            asker = await self._giver(work, caller, ref)
            ref.checked(await self._shown(work, caller, ref.key))
            await self._give(work, asker, ref.key, frozenset())

    async def _reader(self, work: Work, caller: Caller, ref: Ref) -> Asker:
        asker = await _recognised(work, caller, self.means.now())
        if not asker.everywhere("platform", FETCH):
            raise nothing("platform:read")
        if ref.key not in SUPER:
            raise nothing()
        return asker

    async def _giver(self, work: Work, caller: Caller, ref: Ref) -> Asker:
        """Return who may give it: whoever assigns roles everywhere, and holds everywhere what it gives."""
        await work.alone("super-permissions")
        asker = await self._reader(work, caller, ref)
        if not asker.everywhere("role", CUSTOM1):
            raise nothing("role:assign_users")
        gives = masks(SUPER[ref.key].permissions)
        if not all(asker.everywhere(kind, mask) for kind, mask in gives.items()):
            raise MoreThanYouHold(f"you do not hold everything that {ref.key} gives, everywhere")
        return asker

    async def _named(self, work: Work, caller: Caller, keys: Sequence[str]) -> frozenset[UUID]:
        """Return the users who are meant, of the caller's tenant by key and of any by id."""
        wanted = [principal_key(key) for key in keys]
        found = await work.entities.principals(caller.tenant, wanted)
        ids = {found.get(key) or as_id(key) for key in wanted}
        for key, id_ in ((key, found.get(key) or as_id(key)) for key in wanted):
            if id_ is None or await work.users.get(None, id_) is None:
                raise bad_field("principals", f"there is no user {key}; only users can hold this")
        return frozenset(id_ for id_ in ids if id_)

    async def _give(self, work: Work, asker: Asker, name: str, wanted: frozenset[UUID]) -> None:
        """Bind those who are wanted and nobody else; each change is one of a user."""
        held = frozenset(await work.entities.holders(name))
        for id_ in sorted(held ^ wanted):
            if user := await self._locked(work, id_):
                await self._bind(work, asker.caller, user, name, held=id_ in wanted)

    async def _locked(self, work: Work, id_: UUID) -> User | None:
        if (found := await work.users.get(None, id_)) is None:
            return None
        await work.tenants.get(found.tenant, lock=True)
        return await work.users.get(None, id_, lock=True)

    async def _bind(self, work: Work, caller: Caller, user: User, name: str, *, held: bool) -> None:
        after = user.empowered(name, held=held).changed(self.means.now())
        others = await work.users.administrators(user.tenant, without=user.id)
        check_change(caller, user, after, others)
        await work.users.put(after)
        work.changed(Kind.SUBJECT, str(user.id))
        verb = "empowered" if held else "disempowered"
        work.record(user_fact(Actor.of(caller), verb, user, after, reason=name))

    async def _shown(self, work: Work, caller: Caller, name: str) -> Entity:
        """Return a super-permission as a thing; holders of other tenants are shown by id."""
        holders = await work.entities.holders(name)
        keys = await work.entities.keys(caller.tenant, holders)
        return Entity(
            id=_NONE,
            tenant=_NONE,
            collection=C.PERMISSIONS,
            key=name,
            fields={
                "description": SUPER[name].description,
                "principals": [keys.get(id_, str(id_)) for id_ in holders],
            },
            created_at=_ALWAYS,
            updated_at=_ALWAYS,
        )
