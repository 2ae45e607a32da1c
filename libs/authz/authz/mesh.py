"""Which service is calling, and what: a short-lived signature over its name and the method, sent as gRPC metadata.

    x-mesh: <service>.<expiry, Unix seconds>.<HMAC-SHA-256, hex>

Services share one secret, so this tells services from strangers, not services from each other (docs/adr/0068). The
secret is turned without a pause as "new,old": the first signs, each is believed.
"""

import hmac
from functools import lru_cache

HEADER = "x-mesh"
LIFETIME = 360.0  # seconds: five minutes that clocks of two machines may differ by, and then some
SHORTEST = 32


class Unsigned(ValueError):
    """The signature is missing, wrong, of another call, or too old."""


def sign(secret: str, service: str, method: str, now: float) -> str:
    """Return the metadata value with which `service` may call `method` (`/package.Service/Method`) for some minutes."""
    claim = f"{service}.{int(now + LIFETIME)}"
    return f"{claim}.{_mac(keys(secret)[0], claim, method)}"


def verify(secret: str, shown: str, method: str, now: float) -> str:
    """Return the name of the calling service; Unsigned if the signature does not hold for this method, now."""
    claim, _, mac = shown.rpartition(".")
    service, _, expiry = claim.partition(".")
    signed = [_mac(key, claim, method).encode() for key in keys(secret)]
    if not any([hmac.compare_digest(mac.encode(), one) for one in signed]):
        raise Unsigned("this call is for Switchyard's own services")
    if not expiry.isdigit() or int(expiry) < now:
        raise Unsigned("the service's signature has expired: is its clock right?")
    return service


@lru_cache(maxsize=8)
def keys(secret: str) -> tuple[bytes, ...]:
    """Return the keys of a secret, or of several separated by commas; ValueError where one is short."""
    parts = [part.strip().encode() for part in secret.split(",")]
    if min(map(len, parts)) < SHORTEST:
        raise ValueError(f"each part of MESH_SECRET has at least {SHORTEST} characters")
    return tuple(parts)


def _mac(key: bytes, claim: str, method: str) -> str:
    return hmac.digest(key, f"{claim} {method}".encode(), "sha256").hex()
