"""A stream: a receiver who gets every entry of a log, in order, by signed webhook."""

import hmac
from base64 import b64encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal
from urllib.parse import urlsplit
from uuid import UUID

MOST_STREAMS = 10
BATCH = 100
FAILURES = 12
_LONGEST = 300
State = Literal["active", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A cursor in a log: everything up to `cursor` was acknowledged. `why` says what paused it, or what fails."""

    id: UUID
    tenant: UUID
    url: str
    secret: bytes
    state: State = "active"
    why: str = ""
    cursor: int = 0
    failures: int = 0
    due_at: datetime
    created_at: datetime
    version: int = 1

    def delivered(self, seq: int) -> "Stream":
        """Return the stream after its receiver acknowledged everything up to `seq`."""
        return replace(self, cursor=seq, failures=0, why="")

    def failed(self, why: str, now: datetime) -> "Stream":
        """Return the stream after a failure: it tries again, later and later, and pauses itself in the end."""
        failures = self.failures + 1
        wait = timedelta(seconds=min(2**failures, _LONGEST))
        tried = replace(self, failures=failures, why=why, due_at=now + wait)
        return (
            tried
            if failures < FAILURES
            else tried.paused(f"paused after {failures} failures: {why}")
        )

    def paused(self, why: str) -> "Stream":
        """Return the stream at rest; one that rests already goes on doing so, for its reason."""
        if self.state == "paused":
            return self
        return replace(self, state="paused", why=why, version=self.version + 1)

    def resumed(self, now: datetime) -> "Stream":
        """Return the stream at work again, from where it was; one that works well is left alone."""
        if self.state == "active" and not self.failures:
            return self
        return replace(
            self, state="active", why="", failures=0, due_at=now, version=self.version + 1
        )

    def replayed(self, seq: int, now: datetime) -> "Stream":
        """Return the stream set back or forward: the next entry that it sends is `seq`."""
        return replace(self, cursor=seq - 1, failures=0, due_at=now, version=self.version + 1)

    def sent_to(self, url: str) -> "Stream":
        """Return the stream with another receiver."""
        return self if url == self.url else replace(self, url=url, version=self.version + 1)

    @property
    def place(self) -> str:
        """Where it sends to, without what may open that door: many receivers have a token in their address."""
        parts = urlsplit(self.url)
        origin, rest = f"{parts.scheme}://{parts.netloc}/", parts.path.strip("/") + parts.query
        return (
            f"{origin}… (sha256 {sha256(self.url.encode()).hexdigest()[:12]})" if rest else origin
        )

    def said(self) -> dict[str, object]:
        """Return what the log says of it."""
        return {"url": self.place, "state": self.state, "cursor": self.cursor, "why": self.why}


def secret_text(secret: bytes) -> str:
    """Return a secret as Standard Webhooks spell it."""
    return f"whsec_{b64encode(secret).decode()}"


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message (Standard Webhooks 1.0, symmetric)."""
    said = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{b64encode(hmac.digest(secret, said, 'sha256')).decode()}"
