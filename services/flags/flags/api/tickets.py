"""Tickets to a stream of changes: EventSource sends no headers, so the URL itself says who listens, for a short time.

A ticket names an API key by its digest and the hour in which it was made, sealed with a secret that all replicas share.
It opens nothing but the stream, in that hour and the next; whether the key still holds is asked anew when it is used.
It is the same for a whole hour, so that a client that asks again finds the URL that it listens to already.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import sha256

import orjson

from chassis.errors import Unauthenticated

HOUR = 3600
PATH = "/ofrep/v1/events"
INACTIVITY = 120  # seconds after which a client that nobody looks at should hang up


class BadTicket(Unauthenticated):
    """The token in a stream's URL is not one of ours, or its time is over: ask for all flags again to get a new one."""

    code = "flags.bad_ticket"


@dataclass(frozen=True, slots=True)
class Tickets:
    """Makes tickets and reads them. `origin` is the gateway's (scheme://host[:port])."""

    secret: bytes
    origin: str = ""

    def written(self, digest: str, now: float) -> tuple[bytes, float]:
        """Return OFREP's `eventStreams`, written out behind a comma, and until when (seconds) it stays the same."""
        hour = int(now // HOUR)
        url = f"{self.origin}{PATH}?token={self.made(digest, hour)}"
        stream = {"type": "sse", "url": url, "inactivityDelaySec": INACTIVITY}
        return b',"eventStreams":' + orjson.dumps([stream]), (hour + 1) * HOUR

    def made(self, digest: str, hour: int) -> str:
        """Return the ticket of the API key with that digest (hexadecimal) for an hour since 1970."""
        body = hour.to_bytes(4, "big") + bytes.fromhex(digest)
        return urlsafe_b64encode(body + self._seal(body)).decode().rstrip("=")

    def read(self, ticket: str, now: float) -> str:
        """Return the digest of the key that a ticket names; BadTicket if it does not hold now."""
        try:
            whole = urlsafe_b64decode(ticket.encode("ascii") + b"=" * (-len(ticket) % 4))
        except (NotBase64, ValueError):
            raise BadTicket("this is no token for a stream") from None
        body, seal = whole[:-16], whole[-16:]
        if len(body) != 36 or not hmac.compare_digest(seal, self._seal(body)):
            raise BadTicket("this is no token for a stream")
        if int(now // HOUR) - int.from_bytes(body[:4], "big") not in (0, 1):
            raise BadTicket("the token's time is over: evaluate all flags again to get a new one")
        return body[4:].hex()

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self.secret, b"stream of changes" + body, sha256)[:16]
