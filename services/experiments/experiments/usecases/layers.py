"""Managing layers and holdouts: who cannot be in an experiment because of something beside it.

Both belong to experiments, and so do their permissions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.errors import NotFound
from chassis.facts import Actor, Fact, Seen, Target, changed
from chassis.pages import Slice
from experiments.domain.errors import (
    HoldoutNotFound,
    LayerInUse,
    LayerNotFound,
    TooManyHoldouts,
)
from experiments.domain.experiment import check_key
from experiments.domain.layers import Holdout, Layer, Slot, Words
from experiments.ports import OpenWork, Work
from experiments.ports.assigning import WantedNamed

MOST_HOLDOUTS = 100  # each is a gate that every evaluation of every experiment passes


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Which layer or holdout a change is meant for (id or key), in which version (None: any), and why."""

    name: str
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What a new layer or holdout is called; `share` is that of a holdout."""

    key: str
    name: str
    description: str = ""
    share: int = 0


@dataclass(frozen=True, slots=True)
class Layers:
    """Everything one can do to a layer. Its places are given out by experiments, which name it."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, named: Named) -> Layer:
        """Make a layer, owned by the caller; LayerKeyTaken if there is one of its key."""
        caller.must("experiment:create")
        check_key(named.key)
        now = self.now()
        made = Layer(
            id=self.new_id(),
            tenant=caller.tenant,
            key=named.key,
            name=named.name,
            description=named.description,
            owner_id=caller.owner,
            created_at=now,
            updated_at=now,
        )
        async with self.work() as work:
            await work.layers.add(made)
            work.record(_told(caller, "created", None, made))
        return made

    async def read(self, caller: Caller, name: str) -> tuple[Layer, Sequence[tuple[str, Slot]]]:
        """Return a layer, and which experiments that are not over have which of its places."""
        caller.must("experiment:read")
        async with self.work() as work:
            found = await work.layers.find(caller.tenant, name)
            if found is None:
                raise _no_layer(name)
            return found, await work.layers.slots(found.id, self.now())

    async def page(self, caller: Caller, wanted: WantedNamed) -> Slice[Layer]:
        """Return a part of the tenant's layers."""
        caller.must("experiment:read")
        async with self.work() as work:
            return await work.layers.page(caller.tenant, wanted)

    async def update(self, caller: Caller, aim: Aim, words: Words) -> Layer:
        """Change a layer's words."""
        caller.must_for_some("experiment:update")
        async with self.work() as work:
            before = await _layer(work, caller, "experiment:update", aim)
            after = before.changed(words, self.now())
            if after is not before:
                await work.layers.put(after)
                work.record(_told(caller, "updated", before, after, aim.reason))
        return after

    async def delete(self, caller: Caller, aim: Aim) -> None:
        """Forget a layer; LayerInUse while experiments name it."""
        caller.must_for_some("experiment:delete")
        async with self.work() as work:
            before = await _layer(work, caller, "experiment:delete", aim)
            if users := await work.layers.named_by(before.id):
                few = ", ".join(users[:5])
                raise LayerInUse(f"layer {before.key!r} is named by {few}; delete those first")
            await work.layers.remove(before)
            work.record(_told(caller, "deleted", before, None, aim.reason))


@dataclass(frozen=True, slots=True)
class Holdouts:
    """Everything one can do to a holdout. It counts for phases that begin while it is there."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, named: Named) -> Holdout:
        """Make a holdout, owned by the caller; HoldoutKeyTaken if there is one of its key."""
        caller.must("experiment:create")
        check_key(named.key)
        now = self.now()
        made = Holdout(
            id=self.new_id(),
            tenant=caller.tenant,
            key=named.key,
            name=named.name,
            description=named.description,
            share=named.share,
            owner_id=caller.owner,
            created_at=now,
            updated_at=now,
        )
        async with self.work() as work:
            if len(await work.holdouts.all(caller.tenant)) >= MOST_HOLDOUTS:
                raise TooManyHoldouts(f"there are {MOST_HOLDOUTS} holdouts already; delete one")
            await work.holdouts.add(made)
            work.record(_told(caller, "created", None, made))
        return made

    async def read(self, caller: Caller, name: str) -> Holdout:
        """Return a holdout."""
        caller.must("experiment:read")
        async with self.work() as work:
            found = await work.holdouts.find(caller.tenant, name)
        if found is None:
            raise _no_holdout(name)
        return found

    async def page(self, caller: Caller, wanted: WantedNamed) -> Slice[Holdout]:
        """Return a part of the tenant's holdouts."""
        caller.must("experiment:read")
        async with self.work() as work:
            return await work.holdouts.page(caller.tenant, wanted)

    async def update(self, caller: Caller, aim: Aim, words: Words) -> Holdout:
        """Change a holdout's words. Its share stays: those who were held back must not be let in half-way."""
        caller.must_for_some("experiment:update")
        async with self.work() as work:
            before = await _holdout(work, caller, "experiment:update", aim)
            after = before.changed(words, self.now())
            if after is not before:
                await work.holdouts.put(after)
                work.record(_told(caller, "updated", before, after, aim.reason))
        return after

    async def delete(self, caller: Caller, aim: Aim) -> None:
        """Let go of those held back: phases that begin from now on may have them."""
        caller.must_for_some("experiment:delete")
        async with self.work() as work:
            before = await _holdout(work, caller, "experiment:delete", aim)
            await work.holdouts.remove(before)
            work.record(_told(caller, "deleted", before, None, aim.reason))


async def _layer(work: Work, caller: Caller, permission: str, aim: Aim) -> Layer:
    found = await work.layers.take(caller.tenant, aim.name)
    missing = _no_layer(aim.name)
    if found is None:
        raise missing
    _check(caller, permission, found, missing)
    found.expect(aim.version)
    return found


async def _holdout(work: Work, caller: Caller, permission: str, aim: Aim) -> Holdout:
    found = await work.holdouts.take(caller.tenant, aim.name)
    missing = _no_holdout(aim.name)
    if found is None:
        raise missing
    _check(caller, permission, found, missing)
    found.expect(aim.version)
    return found


def _check(caller: Caller, permission: str, it: Layer | Holdout, missing: NotFound) -> None:
    caller.must_over(permission, Thing(it.owner_id, id=str(it.id)), missing)


def _no_layer(name: str) -> LayerNotFound:
    return LayerNotFound(f"there is no layer {name!r}")


def _no_holdout(name: str) -> HoldoutNotFound:
    return HoldoutNotFound(f"there is no holdout {name!r}")


def _told(
    caller: Caller,
    verbed: str,
    before: Layer | Holdout | None,
    after: Layer | Holdout | None,
    reason: str = "",
) -> Fact:
    who = Actor.of(caller)
    return changed(who, verbed, before and _seen(before), after and _seen(after), reason)


def _seen(it: Layer | Holdout) -> Seen:
    noun, share = ("holdout", {"share": it.share}) if isinstance(it, Holdout) else ("layer", {})
    names = ("key", "name", "description", "owner_id", "version")
    document = {name: getattr(it, name) for name in names} | share
    return it.tenant, Target(noun, str(it.id), it.key), document
