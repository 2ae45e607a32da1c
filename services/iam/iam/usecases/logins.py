"""Logging in, going on, logging out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NoReturn
from unicodedata import normalize
from uuid import UUID

from chassis.caller import Caller
from chassis.context import asked
from chassis.errors import FieldError
from chassis.facts import Actor
from iam.domain.account import Account
from iam.domain.authority import Kind
from iam.domain.errors import BadLogin, BadRefreshToken, TooManyLogins, UserNotFound
from iam.domain.reach_errors import AmbiguousLogin
from iam.domain.session import Family, RefreshToken, Session, Verdict, digest, judged
from iam.domain.succession import seal_successor, unseal_successor
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.ports import OpenWork, Passwords, Throttle, Work
from iam.usecases.facts import acting, failed_login, session_fact, throttled_login
from iam.usecases.opening import Opening, Tokens

# One address may be known to several organizations; so many of them are tried without being told which is meant.
MOST_MEANT = 4
MOST_HELD = (
    10_000  # names of throttled accounts that are remembered, so that each leaves one fact a pause
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What somebody typed. `name` is a user name or an e-mail address."""

    name: str
    password: str
    subdomain: str | None = None


@dataclass(frozen=True, slots=True)
class Logins:
    """Everything between a password and an access token."""

    work: OpenWork
    passwords: Passwords
    throttle: Throttle
    opening: Opening
    _held: dict[str, datetime] = field(default_factory=dict[str, datetime])
    _going: dict[bytes, asyncio.Task[Tokens]] = field(
        default_factory=dict[bytes, asyncio.Task[Tokens]]
    )

    async def login(self, login: Login) -> Tokens:
        """Return tokens for a name and a password; BadLogin, always the same, if anything is wrong with them."""
        account, address = f"{login.subdomain or ''}/{login.name}", asked().ip
        if wait := await self.throttle.attempt(account, address):
            await self._hold(login, f"{account}\n{address}", wait)
            raise TooManyLogins(
                "too many failed logins; wait before the next one", retry_after=int(wait) + 1
            )
        async with self.work() as work:
            meant = await work.accounts.named(login.name, login.subdomain, MOST_MEANT)
        proved = await self._proved(meant, normalize("NFC", login.password))
        user = next(iter(proved), None) if login.subdomain else _only(proved)
        tokens = user and await self._enter(user, login.password)
        if not tokens:
            await self._refuse(meant, _trouble(meant, user))
        await self.throttle.clear(account, address)
        return tokens

    async def refresh(self, shown: str) -> Tokens:
        """Return the next tokens of a session; a token that is shown again late ends the session.

        Requests that show the same token at the same time are one: they would only wait for each other's transaction,
        each with a connection that others need.
        """
        name = digest(shown)
        if (going := self._going.get(name)) is None:
            going = self._going[name] = asyncio.create_task(self._refresh(shown))
            going.add_done_callback(lambda done: self._gone(name, done))
        return await asyncio.shield(going)

    async def logout(self, caller: Caller, refresh: str | None = None) -> None:
        """End the caller's session, and that of a refresh token if one is given."""
        person = caller.must_be_person()
        async with self.work() as work:
            ids = [UUID(caller.credential)]
            family = await work.sessions.family(digest(refresh)) if refresh else None
            if family is not None and family.session.id not in ids:
                ids.append(family.session.id)
            for id_ in ids:
                session = await work.sessions.get(id_, lock=True)
                if session and session.user == person:
                    await self._end(work, session)
                    work.record(session_fact(Actor.of(caller), "ended", session))

    async def me(self, caller: Caller) -> tuple[User, Tenant]:
        """Return who the caller is."""
        person = caller.must_be_person()
        async with self.work() as work:
            user = await work.users.get(caller.tenant, person)
            tenant = await work.tenants.get(caller.tenant)
        if user is None or tenant is None:
            raise UserNotFound("this account is gone")
        return user, tenant

    @property
    def _now(self) -> datetime:
        return self.opening.means.now()

    async def _proved(self, meant: Sequence[Account], password: str) -> Sequence[Account]:
        """Return whose password it is. Without a user it takes as long as with one."""
        if not meant:
            await self.passwords.verify(password, None)
        return [u for u in meant if await self.passwords.verify(password, u.password)]

    async def _refresh(self, shown: str) -> Tokens:
        async with self.work() as work:
            family = await work.sessions.family(digest(shown))
            tokens = family and await self._go_on(work, family, shown)
        if not tokens:
            raise BadRefreshToken("the refresh token is unknown, used or expired; log in again")
        return tokens

    def _gone(self, name: bytes, done: "asyncio.Task[Tokens]") -> None:
        del self._going[name]
        if not done.cancelled():
            done.exception()  # whoever asked may have left: then nobody else takes note of it

    async def _hold(self, login: Login, name: str, wait: float) -> None:
        """Leave a fact that guessing was slowed down; one a pause, or the log would be filled by it."""
        if self._held.get(name, self._now) > self._now:
            return
        if len(self._held) >= MOST_HELD:
            self._held.clear()
        self._held[name] = self._now + timedelta(seconds=wait)
        async with self.work() as work:
            meant = await work.accounts.named(login.name, login.subdomain, 1)
            work.record(throttled_login(meant[0] if meant else None))

    async def _enter(self, user: Account, password: str) -> Tokens | None:
        """Open a session, unless the account or its organization is disabled by now."""
        rehashed = None
        if self.passwords.outdated(user.password):
            rehashed = await self.passwords.hash(normalize("NFC", password))
        async with self.work() as work:
            now = await work.accounts.get(user.tenant, user.id)
            if now is None or not now.open or now.password != user.password:
                return None
            await work.accounts.logged_in(user.id, self._now, rehashed)
            opened = self.opening.begin(now, now.subdomain, "pwd")
            await work.sessions.begin(opened.session, opened.refresh_token)
            work.record(opened.fact)
        return opened.tokens

    async def _refuse(self, meant: Sequence[Account], reason: str) -> NoReturn:
        async with self.work() as work:
            work.record(failed_login(meant[0] if meant else None, reason))
        raise BadLogin("the name or the password is wrong")

    async def _go_on(self, work: Work, family: Family, shown: str) -> Tokens | None:
        token, session = family.token, family.session
        if not family.goes_on(self._now):
            return None
        match judged(token, self._now):
            case Verdict.ROTATE:
                successor = await self._rotate(work, session, token, shown)
            case Verdict.REPEAT if token.successor is not None:
                successor = unseal_successor(shown, token.successor)
            case Verdict.REUSED:
                reason = "a refresh token was shown twice"
                await self._end(work, session)
                work.record(session_fact(acting(family), "refresh_reused", session, reason))
                return None
            case _:
                return None
        return self.opening.tokens(session, successor, family.subdomain)

    async def _rotate(self, work: Work, session: Session, token: RefreshToken, shown: str) -> str:
        successor = self.opening.means.new_secret()
        sealed = seal_successor(shown, successor)
        used = replace(token, used_at=self._now, successor=sealed)
        seen = session.seen(self._now, self.opening.issuer.lifetimes)
        await work.sessions.rotate(used, seen, self.opening.refresh_token(seen, successor))
        return successor

    async def _end(self, work: Work, session: Session) -> None:
        await work.sessions.put(session.ended(self._now))
        work.changed(Kind.SESSION, str(session.id))


def _only(proved: Sequence[Account]) -> Account | None:
    """Return who alone may be meant; whoever knows the password of several is asked which, and nobody else is."""
    open_ = [account for account in proved if account.open]
    if len(open_) > 1:
        detail = "you have accounts in several organizations: send tenant_subdomain"
        errors = (FieldError("/tenant_subdomain", detail, "tenant_subdomain"),)
        raise AmbiguousLogin(detail, errors=errors)
    return next(iter(open_ or proved), None)


def _trouble(meant: Sequence[Account], proved: Account | None) -> str:
    """Say for the audit log, and for nobody else, what was wrong with a login."""
    if not meant:
        return "there is no such account"
    return "the account or its organization is disabled" if proved else "the password is wrong"
