"""Which service is calling: a short-lived signature over its name, sent as gRPC metadata.

One secret is shared by all services, so this tells services from strangers, not services from each other; the network
policy does the rest, and an ADR says when mutual TLS takes over.
"""

import hmac

from chassis.errors import Unauthenticated

HEADER = "x-mesh"
LIFETIME = 60.0


class NotAService(Unauthenticated):
    """The call is for services only, and its signature is missing, wrong or too old."""

    code = "not_a_service"


def sign(secret: str, service: str, now: float) -> str:
    """Return the metadata value with which `service` shows who it is for the next minute."""
    claim = f"{service}.{int(now + LIFETIME)}"
    return f"{claim}.{_mac(secret, claim)}"


def verify(secret: str, shown: str, now: float) -> str:
    """Return the name of the calling service; NotAService if the signature does not hold."""
    claim, _, mac = shown.rpartition(".")
    service, _, expiry = claim.partition(".")
    if not hmac.compare_digest(mac.encode(), _mac(secret, claim).encode()):
        raise NotAService("this call is for Switchyard's own services")
    if not expiry.isdigit() or int(expiry) < now:
        raise NotAService("the service's signature has expired: is its clock right?")
    return service


def _mac(secret: str, claim: str) -> str:
    return hmac.digest(secret.encode(), claim.encode(), "sha256").hex()
