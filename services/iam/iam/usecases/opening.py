"""How every session begins, whichever door it comes through."""

from dataclasses import dataclass

from chassis.context import asked
from iam.domain.session import Issuer, RefreshToken, Session, digest
from iam.domain.user import User
from iam.ports import Means, Signer, Work
from iam.usecases.facts import acting, session_fact


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client holds after a login. `expires_in` in seconds; both tokens are secrets."""

    access: str
    refresh: str
    expires_in: int
    subdomain: str


@dataclass(frozen=True, slots=True)
class Opening:
    """Begins sessions and mints their tokens."""

    issuer: Issuer
    signer: Signer
    means: Means

    async def begin(self, work: Work, user: User, subdomain: str, amr: str) -> Tokens:
        """Open a session for a user who has proved who they are, and leave a fact."""
        now, request = self.means.now(), asked()
        session = Session(
            id=self.means.new_id(),
            user=user.id,
            tenant=user.tenant,
            amr=(amr,),
            ip=request.ip[:64],
            user_agent=request.user_agent[:512].replace("\x00", ""),
            created_at=now,
            seen_at=now,
            expires_at=now + self.issuer.lifetimes.refresh,
        )
        await work.sessions.put(session)
        refresh = self.means.new_secret()
        await work.sessions.put_token(self.refresh_token(session, refresh))
        work.record(session_fact(acting(user, session), "created", session))
        return self.tokens(user, session, refresh, subdomain)

    def refresh_token(self, session: Session, refresh: str) -> RefreshToken:
        """Return what is kept of a refresh token made now."""
        now = self.means.now()
        return RefreshToken(
            hash=digest(refresh),
            session=session.id,
            issued_at=now,
            expires_at=now + self.issuer.lifetimes.refresh,
        )

    def tokens(self, user: User, session: Session, refresh: str, subdomain: str) -> Tokens:
        """Return a session's tokens, with a new access token."""
        claims = self.issuer.claims(user, session.id, self.means.now(), self.means.new_id())
        lifetime = int(self.issuer.lifetimes.access.total_seconds())
        return Tokens(self.signer.sign(claims), refresh, lifetime, subdomain)
