"""Logging in, going on, logging out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn
from unicodedata import normalize
from uuid import UUID

from chassis.caller import Caller
from chassis.context import asked
from chassis.facts import Actor
from iam.domain.authority import Kind
from iam.domain.errors import BadLogin, BadRefreshToken, TooManyLogins, UserNotFound
from iam.domain.session import RefreshToken, Session, Verdict, digest, judged
from iam.domain.succession import seal_successor, unseal_successor
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.ports import OpenWork, Passwords, Throttle, Work
from iam.usecases.facts import acting, failed_login, session_fact
from iam.usecases.opening import Opening, Tokens

# One address may be known to several organizations; so many of them are tried without being told which is meant.
MOST_MEANT = 4


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

    async def login(self, login: Login) -> Tokens:
        """Return tokens for a name and a password; BadLogin, always the same, if anything is wrong with them."""
        account, address = f"{login.subdomain or ''}/{login.name}", asked().ip
        if wait := await self.throttle.attempt(account, address):
            raise TooManyLogins(
                "too many failed logins; wait before the next one", retry_after=int(wait) + 1
            )
        async with self.work() as work:
            meant = await work.users.named(login.name, login.subdomain, MOST_MEANT)
        user = await self._proved(meant, normalize("NFC", login.password))
        tokens = user and await self._enter(user, login.password)
        if not tokens:
            await self._refuse(meant)
        await self.throttle.clear(account, address)
        return tokens

    async def refresh(self, shown: str) -> Tokens:
        """Return the next tokens of a session; a token that is shown again late ends the session."""
        async with self.work() as work:
            token = await work.sessions.token(digest(shown))
            tokens = token and await self._go_on(work, token, shown)
        if not tokens:
            raise BadRefreshToken("the refresh token is unknown, used or expired; log in again")
        return tokens

    async def logout(self, caller: Caller, refresh: str | None = None) -> None:
        """End the caller's session, and that of a refresh token if one is given."""
        person = caller.must_be_person()
        async with self.work() as work:
            ids = [UUID(caller.credential)]
            token = await work.sessions.token(digest(refresh)) if refresh else None
            if token is not None and token.session not in ids:
                ids.append(token.session)
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

    async def _proved(self, meant: Sequence[User], password: str) -> User | None:
        """Return whose password it is. Without a user it takes as long as with one."""
        for user in meant:
            if await self.passwords.verify(password, user.password):
                return user
        if not meant:
            await self.passwords.verify(password, None)
        return None

    async def _enter(self, user: User, password: str) -> Tokens | None:
        """Open a session, unless the account or its organization is disabled by now."""
        rehashed = None
        if self.passwords.outdated(user.password):
            rehashed = await self.passwords.hash(normalize("NFC", password))
        async with self.work() as work:
            now = await work.users.get(user.tenant, user.id, lock=True)
            tenant = await work.tenants.get(user.tenant)
            if now is None or not now.active or tenant is None or not tenant.active:
                return None
            if now.password != user.password:
                return None
            await work.users.logged_in(user.id, self._now, rehashed)
            opened = self.opening.begin(now, tenant.subdomain, "pwd")
            await work.sessions.put(opened.session)
            await work.sessions.put_token(opened.refresh_token)
            work.record(opened.fact)
        return opened.tokens

    async def _refuse(self, meant: Sequence[User]) -> NoReturn:
        async with self.work() as work:
            work.record(failed_login(meant[0] if meant else None))
        raise BadLogin("the name or the password is wrong")

    async def _go_on(self, work: Work, token: RefreshToken, shown: str) -> Tokens | None:
        session = await work.sessions.get(token.session, lock=True)
        user = session and await work.users.get(session.tenant, session.user)
        tenant = session and await work.tenants.get(session.tenant)
        if not (session and user and tenant and user.active and tenant.active):
            return None
        if not session.live(self._now):
            return None
        match judged(token, self._now):
            case Verdict.ROTATE:
                successor = await self._rotate(work, session, token, shown)
            case Verdict.REPEAT if token.successor is not None:
                successor = unseal_successor(shown, token.successor)
            case Verdict.REUSED:
                reason = "a refresh token was shown twice"
                await self._end(work, session)
                work.record(session_fact(acting(user), "refresh_reused", session, reason))
                return None
            case _:
                return None
        return self.opening.tokens(user, session, successor, tenant.subdomain)

    async def _rotate(self, work: Work, session: Session, token: RefreshToken, shown: str) -> str:
        successor = self.opening.means.new_secret()
        sealed = seal_successor(shown, successor)
        await work.sessions.put_token(replace(token, used_at=self._now, successor=sealed))
        seen = session.seen(self._now, self.opening.issuer.lifetimes)
        await work.sessions.put(seen)
        await work.sessions.put_token(self.opening.refresh_token(seen, successor))
        return successor

    async def _end(self, work: Work, session: Session) -> None:
        await work.sessions.put(session.ended(self._now))
        work.changed(Kind.SESSION, str(session.id))
