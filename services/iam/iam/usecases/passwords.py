"""Another password: chosen by whoever knows the present one, or by whom an administrator gave a token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn
from unicodedata import normalize
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import FieldError
from chassis.facts import Actor, Outcome
from iam.domain.errors import (
    BadPasswordReset,
    ResetYourself,
    TooManyLogins,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from iam.domain.password import Policy
from iam.domain.reach_errors import GuestAccount
from iam.domain.reset import HOLDS, PasswordReset
from iam.domain.session import digest
from iam.domain.user import User, must_hold, must_hold_everywhere
from iam.ports import Means, OpenWork, Passwords, Throttle, Work
from iam.usecases.ending import end_sessions
from iam.usecases.facts import acting, password_fact
from iam.usecases.giving import found


@dataclass(frozen=True, slots=True)
class PasswordChanges:
    """Everything that gives a user another password."""

    work: OpenWork
    passwords: Passwords
    throttle: Throttle
    policy: Policy
    means: Means

    async def change(self, caller: Caller, current: str, new: str) -> None:
        """Give the caller another password for the present one; log them out everywhere but here."""
        person, name = caller.must_be_person(), f"password/{caller.subject}"
        # Only who has a session of the account gets here, so no outsider can hold the owner up.
        if wait := await self.throttle.attempt(name, ""):
            said = "the present password was wrong too often; wait before you try again"
            raise TooManyLogins(said, retry_after=int(wait) + 1)
        async with self.work() as work:
            before = _there(await work.users.get(None, person))
        if not await self.passwords.verify(normalize("NFC", current), before.password):
            await self._refuse(caller, before)
        await self.throttle.clear(name, "")
        made = self._checked(new, before)
        if made == normalize("NFC", current):
            raise WeakPassword("this is the present password; choose another one")
        hashed = await self.passwords.hash(made)
        async with self.work() as work:
            user = _there(await work.users.get(None, person, lock=True))
            if user.password != before.password:
                _wrong()
            here = UUID(caller.credential)
            await self._give(work, Actor.of(caller), user, (hashed, "password_changed"), here)

    async def issue(self, caller: Caller, user: UUID) -> tuple[PasswordReset, str]:
        """Make a token with which a user can choose a password, once; return it with its text, shown this once.

        Whoever holds the token is that user as soon as they use it, so it takes all that the user holds.
        """
        caller.must("user:reset_credentials")
        if str(user) == (caller.account or caller.subject):
            raise ResetYourself("choose your own password at POST /api/v1/users/me/password")
        token, now = self.means.new_secret(), self.means.now()
        async with self.work() as work:
            target = await found(work, caller, user, lock=True)
            if target.guest:
                raise GuestAccount(
                    "the account belongs to another organization, and its password too"
                )
            must_hold(caller, target.entitled)
            must_hold_everywhere(caller, target.beyond.entitled)
            reset = PasswordReset(
                user=user, hash=digest(token), created_at=now, expires_at=now + HOLDS
            )
            await work.resets.put(reset)
            work.record(password_fact(Actor.of(caller), "password_reset_issued", target))
        return reset, token

    async def redeem(self, token: str, new: str) -> None:
        """Choose a password with a token; BadPasswordReset, always the same, if it opens nothing. Open to all."""
        self.policy.check(new)
        async with self.work() as work:
            user = await self._opened(work, token)
        hashed = await self.passwords.hash(self._checked(new, user))
        async with self.work() as work:
            user = await self._opened(work, token, lock=True)
            await self._give(work, acting(user), user, (hashed, "password_reset"))

    async def _give(
        self,
        work: Work,
        actor: Actor,
        user: User,
        given: Sequence[str],
        but: UUID | None = None,
    ) -> None:
        """Store a new hash; sessions and tokens that the old password was good for are over. `given`: hash and verb."""
        hashed, verb = given
        now = self.means.now()
        await work.users.put(replace(user, password=hashed).changed(now))
        await work.resets.drop(user.id)
        work.record(password_fact(actor, verb, user))
        await end_sessions(work, actor, user.id, now, "the password was changed", but)

    async def _opened(self, work: Work, token: str, *, lock: bool = False) -> User:
        """Return the user whose password a token may set. Locked, nobody else can use it up meanwhile."""
        reset = await work.resets.shown(digest(token))
        user = reset and await work.users.get(None, reset.user, lock=lock)
        tenant = user and await work.tenants.get(user.tenant)
        still = await work.resets.shown(digest(token))
        if not (user and user.active and tenant and tenant.active and still):
            _bad_token()
        return user if still.open(self.means.now()) else _bad_token()

    def _checked(self, new: str, user: User) -> str:
        return self.policy.check(new, user.email, user.username or "")

    async def _refuse(self, caller: Caller, user: User) -> NoReturn:
        async with self.work() as work:
            verb = "password_change_failed"
            work.record(password_fact(Actor.of(caller), verb, user, Outcome.FAILED))
        _wrong()


def _wrong() -> NoReturn:
    said = "this is not your present password"
    raise WrongPassword(said, errors=(FieldError("/current_password", said, "wrong_password"),))


def _bad_token() -> NoReturn:
    raise BadPasswordReset(
        "the token is unknown, used or expired; ask your administrator for another one"
    )


def _there(user: User | None) -> User:
    if user is None:
        raise UserNotFound("this account is gone")
    return user
