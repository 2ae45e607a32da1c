"""How every session begins, whichever door it comes through."""

from dataclasses import dataclass

from chassis.context import asked
from chassis.facts import Fact
from iam.domain.account import Somebody
from iam.domain.session import Issuer, RefreshToken, Session, digest
from iam.ports import Means, Signer
from iam.usecases.facts import acting, session_fact


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client holds after a login. `expires_in` in seconds; both tokens are secrets."""

    access: str
    refresh: str
    expires_in: int
    subdomain: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has just begun: what is to be stored, and what the client gets."""

    session: Session
    refresh_token: RefreshToken
    tokens: Tokens
    fact: Fact


@dataclass(frozen=True, slots=True)
class Opening:
    """Begins sessions and mints their tokens."""

    issuer: Issuer
    signer: Signer
    means: Means

    def begin(self, user: Somebody, subdomain: str, amr: str) -> Opened:
        """Return a session for a user who has proved who they are by `amr` (RFC 8176), ready to be stored."""
        now, request = self.means.now(), asked()
        session = Session(
            id=self.means.new_id(),
            user=user.id,
            tenant=user.tenant,
            amr=(amr,),
            ip=request.ip[:64],
            user_agent=request.user_agent[:512],
            created_at=now,
            seen_at=now,
            expires_at=now + self.issuer.lifetimes.refresh,
        )
        refresh = self.means.new_secret()
        tokens = self.tokens(session, refresh, subdomain)
        fact = session_fact(acting(user, session), "created", session)
        return Opened(session, self.refresh_token(session, refresh), tokens, fact)

    def refresh_token(self, session: Session, refresh: str) -> RefreshToken:
        """Return what is kept of a refresh token made now."""
        now = self.means.now()
        return RefreshToken(
            hash=digest(refresh),
            session=session.id,
            issued_at=now,
            expires_at=now + self.issuer.lifetimes.refresh,
        )

    def tokens(self, session: Session, refresh: str, subdomain: str) -> Tokens:
        """Return a session's tokens, with a new access token."""
        claims = self.issuer.claims(session, self.means.now(), self.means.new_id())
        lifetime = int(self.issuer.lifetimes.access.total_seconds())
        return Tokens(self.signer.sign(claims), refresh, lifetime, subdomain)
