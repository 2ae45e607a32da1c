"""Which service is calling: what `authz.mesh` says, as the fault that ends a call of nobody's."""

from authz import mesh
from authz.mesh import HEADER, sign
from chassis.errors import Unauthenticated

__all__ = ["HEADER", "NotAService", "sign", "verify"]


class NotAService(Unauthenticated):
    """The call is for services only, and its signature is missing, wrong, of another call or too old."""

    code = "not_a_service"


def verify(secret: str, shown: str, method: str, now: float) -> str:
    """Return the name of the service that calls `method`; NotAService if the signature does not hold."""
    try:
        return mesh.verify(secret, shown, method, now)
    except mesh.Unsigned as trouble:
        raise NotAService(str(trouble)) from None
