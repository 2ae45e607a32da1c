"""Faults: the few ways a request can fail. Each door tells them in its own words.

Fault
├── BadRequest         the request contradicts itself
├── Invalid            a value in it cannot be accepted
├── Unauthenticated    we do not know who is asking
├── Forbidden          the caller may see this, but not do that
├── NotFound           it is not there, or the caller may not know that it is
├── Conflict           it clashes with the current state
├── Stale              it was meant for a version that is no longer the newest
├── TooLarge           it is more than we take at once
├── Unsupported        it is of a kind that is not taken here
├── UpgradeRequired    it is answered over another protocol only
├── TooMany            the caller asks faster than agreed
└── Unavailable        something needed is down; try again
    └── Broken         something needed has a bug; trying again is not likely to help

A subclass with its own `code` is one documented way to fail; codes are permanent (`docs/errors.md` is made from them).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one value: a JSON pointer into the body, or `query:name`, `path:name`, `header:name`."""

    pointer: str
    message: str
    code: str = "invalid"


class Fault(Exception):
    """A failure the caller can act on. Anything else is a bug and becomes a 500.

    `needed` is the permission that was lacking, for the audit log; the caller is told it only where `detail` says so.
    """

    code: str = "internal"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after: int | None = None,
        needed: str = "",
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = errors
        self.retry_after = retry_after
        self.needed = needed


class BadRequest(Fault):
    """The request contradicts itself."""

    code = "bad_request"


class Invalid(Fault):
    """A value in the request cannot be accepted."""

    code = "invalid"


class Unauthenticated(Fault):
    """We do not know who is asking."""

    code = "unauthenticated"


class Forbidden(Fault):
    """The caller may see this, but not do that."""

    code = "forbidden"


class NotFound(Fault):
    """It is not there, or the caller may not know that it is."""

    code = "not_found"


class Conflict(Fault):
    """It clashes with the current state."""

    code = "conflict"


class Stale(Fault):
    """The request was meant for a version that is no longer the newest."""

    code = "stale"


class TooLarge(Fault):
    """The request is more than we take at once."""

    code = "too_large"


class Unsupported(Fault):
    """The body is of a kind that is not taken here."""

    code = "unsupported_media_type"


class UpgradeRequired(Fault):
    """This path speaks another protocol: come back with an upgrade."""

    code = "upgrade_required"


class TooMany(Fault):
    """The caller asks faster than agreed."""

    code = "rate_limited"


class Unavailable(Fault):
    """Something needed is down; the same request may work later."""

    code = "unavailable"


class Broken(Unavailable):
    """A service that is needed answered with a bug of its own; its log says more."""

    code = "neighbour_broken"
