"""What iam says of whoever asked for something that is done later."""

from chassis.caller import Caller
from chassis.errors import Unauthenticated
from chassis.identity import Identity, NoAuthority
from flags.domain.edits import Author, Spot
from flags.domain.errors import AuthorGone


class KnownAuthors:
    """Authors of changes that were put off, as the replica of iam's authority knows them now."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def caller(self, author: Author, spot: Spot) -> Caller:
        """Return them with what they may do now. AuthorGone if they cannot act any more.

        Unavailable while iam is not heard: nothing is done on old authority when there is no hurry.
        """
        authority = self._identity.authority
        if not authority.fresh:
            raise NoAuthority("iam cannot be reached, so what is due waits", retry_after=2)
        if author.type == "api_key":
            return self._by_key(author)
        state, now = authority.state, self._identity.clock()
        subject = state.subjects.get(author.account)
        if subject is None or not subject.active or not subject.acts_in(str(spot.tenant)):
            raise AuthorGone(f"{_who(author)} is gone or disabled")
        scope = None if author.scope is None else frozenset(author.scope)
        standing = state.standing(subject, str(spot.tenant), scope, now)
        return Caller(
            subject=author.id,
            tenant=spot.tenant,
            name=subject.name,
            account=subject.id,
            scope=scope,
            standing=standing,
            permissions=standing.permissions,
        )

    def _by_key(self, author: Author) -> Caller:
        keys = self._identity.authority.state.keys.values()
        key = next((key for key in keys if key.id == author.id), None)
        if key is None or (key.expires is not None and key.expires <= self._identity.clock()):
            raise AuthorGone(f"{_who(author)} was revoked or has expired")
        try:
            return self._identity.caller_of(key)
        except Unauthenticated as gone:
            raise AuthorGone(f"{_who(author)}: {gone.detail}") from gone


def _who(author: Author) -> str:
    kind = "the API key" if author.type == "api_key" else "the account"
    return f"{kind} {author.name or author.id!r} that asked for it"
