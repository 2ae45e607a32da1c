"""API keys: one's own, and with `api_key:*` those of the whole tenant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from authz import apikeys
from authz.verbs import UPDATE
from chassis.caller import Caller
from chassis.errors import FieldError
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain.api_key import ApiKey, Kind, Version, check_expiry, scopes_for
from iam.domain.authority import Kind as Subject
from iam.domain.errors import BadExpiry, KeyNotFound, KeyNotLive, KeyStale
from iam.domain.gitops import C
from iam.domain.grant_errors import AccountKeyKind, UnknownAccount
from iam.domain.user import must_hold, must_hold_everywhere
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import key_fact
from iam.usecases.gitops_asker import recognised
from iam.usecases.gitops_lists import lent_to

Mint = Callable[[str], tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What key shall be made; `scopes` None for the default of its kind.

    `account` is the key (`sa_ci`) or id of the service or pipeline account that it shall act for; empty: its maker.
    """

    name: str
    kind: Kind = "server"
    environment: str = "production"
    project: str = "default"
    scopes: Sequence[str] | None = None
    expires_at: datetime | None = None
    account: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Everything one can do to API keys. `mint` makes the text of a key of some kind."""

    work: OpenWork
    means: Means
    mint: Mint = apikeys.mint

    async def list(self, caller: Caller, ask: PageAsk) -> Slice[ApiKey]:
        """Return a part of the tenant's keys to whoever may read them, else of the caller's own."""
        caller.must_be_person_or("api_key:read")
        owner = None if caller.may("api_key:read") else caller.must_be_person()
        async with self.work() as work:
            return await work.api_keys.list(caller.tenant, owner, ask)

    async def get(self, caller: Caller, key: UUID) -> ApiKey:
        """Return a key."""
        caller.must_be_person_or("api_key:read")
        async with self.work() as work:
            return await self._found(work, caller, key, "api_key:read")

    async def create(self, caller: Caller, new: NewKey) -> tuple[ApiKey, str]:
        """Make a key; return it with its text, which nobody can ever be shown again.

        A key that acts for its maker is theirs to make; one that belongs to the tenant, or acts for an account that
        they may change, needs `api_key:create`. None can do what its maker cannot, nor outlive the key that made it.
        """
        caller.must_be_person_or("api_key:create")
        if new.kind != "management" or new.account:
            caller.must("api_key:create")
        if new.kind != "management" and new.account:
            raise AccountKeyKind("a key of an account acts for it: its kind is management")
        scopes = scopes_for(new.kind, new.scopes, caller.permissions)
        must_hold(caller, scopes)
        check_expiry(new.expires_at, self.means.now())
        text, version = self._minted(new.kind)
        async with self.work() as work:
            by = await self._shown(work, caller)
            new = _within(new, by)
            owner, maker = (by.owner, by.maker) if by else (caller.must_be_person(),) * 2
            if new.account:
                owner = await self._account(work, caller, new.account)
            key = self._made(new, scopes, (caller.tenant, owner, maker), version)
            await work.api_keys.put(key)
            work.changed(Subject.API_KEY, version.hash)
            work.record(key_fact(Actor.of(caller), "created", None, key))
        return key, text

    async def rotate(self, caller: Caller, key: UUID, overlap: timedelta) -> tuple[ApiKey, str]:
        """Give a key a new text; the one before holds for `overlap` yet, all older ones no more."""
        caller.must_be_person_or("api_key:update")
        async with self.work() as work:
            before = await self._found(work, caller, key, "api_key:update", lock=True)
            await self._must_hold(work, caller, before)
            if not before.live(self.means.now()):
                raise KeyNotLive("the key has expired; make a new one")
            text, version = self._minted(before.kind)
            after = before.rotated(version, overlap)
            await work.api_keys.put(after)
            self._tell(work, after)
            work.record(key_fact(Actor.of(caller), "rotated", before, after))
        return after, text

    async def revoke(self, caller: Caller, key: UUID, expected: int | None) -> None:
        """End a key: every text of it, everywhere, at once."""
        caller.must_be_person_or("api_key:delete")
        async with self.work() as work:
            before = await self._found(work, caller, key, "api_key:delete", lock=True)
            if expected is not None and expected != before.version:
                raise KeyStale(f"the key is at version {before.version}; read it again")
            after = before.revoked(self.means.now())
            await work.api_keys.put(after)
            self._tell(work, after)
            work.record(key_fact(Actor.of(caller), "revoked", before, None))

    def _minted(self, kind: Kind) -> tuple[str, Version]:
        _, text = self.mint(kind)
        hash_, prefix = apikeys.digest(text), apikeys.prefix_of(text)
        return text, Version(hash=hash_, prefix=prefix, created_at=self.means.now())

    def _made(
        self, new: NewKey, scopes: frozenset[str], whose: tuple[UUID, UUID, UUID], version: Version
    ) -> ApiKey:
        """Return a key of a tenant that acts for an owner, made by a user."""
        evaluates = new.kind != "management"
        tenant, owner, maker = whose
        return ApiKey(
            id=self.means.new_id(),
            tenant=tenant,
            owner=owner,
            maker=maker,
            name=new.name,
            kind=new.kind,
            environment=new.environment if evaluates else "",
            project=new.project if evaluates else "",
            scopes=scopes,
            created_at=version.created_at,
            expires_at=new.expires_at,
            versions=(version,),
        )

    async def _found(
        self, work: Work, caller: Caller, key: UUID, permission: str, *, lock: bool = False
    ) -> ApiKey:
        """Return a key that is the caller's own, or that they may see or change by their role."""
        found = await work.api_keys.get(caller.tenant, key, lock=lock)
        if found and (caller.may(permission) or str(found.owner) == caller.subject):
            return found
        raise KeyNotFound("there is no such API key")

    async def _shown(self, work: Work, caller: Caller) -> ApiKey | None:
        """Return the key that the caller acts by; None for who logged in. Its maker answers for what it makes."""
        if caller.kind not in ("api_key", "service_account"):
            return None
        return await work.api_keys.get(caller.tenant, UUID(caller.credential))

    async def _account(self, work: Work, caller: Caller, account: str) -> UUID:
        """Return an account of the tenant, kept from going meanwhile: who may change it may act as it."""
        await work.tenants.get(caller.tenant, lock=True)
        asker = await recognised(work, caller, self.means.now())
        id_ = (await work.entities.principals(caller.tenant, [account])).get(account)
        for collection in (C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS):
            entity = id_ and await work.entities.get(caller.tenant, collection, id_)
            if entity and asker.can(UPDATE, entity, await lent_to(work, entity)):
                return entity.id
        wrong = FieldError("/account", "names no account that you may change", "account")
        raise UnknownAccount(f"there is no account {account!r}", errors=(wrong,))

    async def _must_hold(self, work: Work, caller: Caller, key: ApiKey) -> None:
        """Refuse a key that can do more than the caller: whoever rotates it has its text, and acts for its owner."""
        must_hold(caller, key.scopes)
        if key.kind == "management" and (owner := await work.users.get(None, key.owner)):
            must_hold_everywhere(caller, owner.beyond.entitled & key.scopes)

    def _tell(self, work: Work, key: ApiKey) -> None:
        for version in key.versions:
            work.changed(Subject.API_KEY, version.hash)


def _within(new: NewKey, by: ApiKey | None) -> NewKey:
    """Return a key as it is asked for, at the latest until the key ends by which that is done."""
    if by is None or by.expires_at is None:
        return new
    if new.expires_at and new.expires_at > by.expires_at:
        raise BadExpiry("a key that is made by a key ends no later than that one")
    return replace(new, expires_at=new.expires_at or by.expires_at)
