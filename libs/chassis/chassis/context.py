"""The request that is being answered: its id, its trace and where it came from, for logs, facts and calls onward."""

import re
import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from uuid import UUID

WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. `credential` is the header that vouches for the caller, to pass on to a neighbour.

    `epoch` is how fresh the authority must be that decides; `answer` are header fields for a good answer.
    """

    request_id: str = field(default_factory=lambda: secrets.token_hex(16))
    trace_id: str = ""
    traceparent: str = ""
    ip: str = ""
    user_agent: str = ""
    credential: tuple[str, str] | None = None
    epoch: str = ""
    answer: dict[str, str] = field(default_factory=dict[str, str])
    ends: float = inf  # when whoever asks stops waiting, on the monotonic clock

    def left(self, most: float) -> float:
        """Return the seconds that a neighbour has, `most` at most: a fifth of what is left is for our own answer."""
        return max(0.0, min(most, 0.8 * (self.ends - time.monotonic())))

    @property
    def sampled(self) -> bool:
        """Whether whoever called us records this trace."""
        return self.traceparent.endswith("1")


CURRENT: ContextVar[Asked | None] = ContextVar("asked", default=None)


def asked() -> Asked:
    """Return the request being answered; an empty one for work that nobody asked for."""
    return CURRENT.get() or Asked(request_id="")


def request_id_of(sent: str | None) -> str:
    """Return the id the client sent if it is well formed, else a new one."""
    return sent if sent and WELL_FORMED_ID.fullmatch(sent) else secrets.token_hex(16)


def trace_of(traceparent: str | None, request_id: str) -> tuple[str, str]:
    """Return (trace id, traceparent): the incoming trace, or one named after the request."""
    if traceparent and (parts := _TRACEPARENT.fullmatch(traceparent)):
        return parts[1], traceparent
    trace_id = _as_trace_id(request_id)
    return trace_id, f"00-{trace_id}-{secrets.token_hex(8)}-00"


def _as_trace_id(request_id: str) -> str:
    try:
        return UUID(request_id).hex
    except ValueError:
        return secrets.token_hex(16)
