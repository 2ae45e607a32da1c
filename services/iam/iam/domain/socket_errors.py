"""How listening is refused. Codes are permanent."""

from chassis.errors import Forbidden, Invalid, TooMany, Unavailable, UpgradeRequired


class TooManySockets(TooMany):
    """This account has as many WebSockets open as it may have at once; close one."""

    code = "iam.too_many_sockets"


class SocketsFull(Unavailable):
    """This replica has as many WebSockets open as it can hold; try again, and you may reach another."""

    code = "iam.sockets_full"


class OriginRefused(Forbidden):
    """Pages of this origin may not listen here: it is not among those that are allowed (CORS_ORIGINS)."""

    code = "iam.origin_refused"


class SocketNeeded(UpgradeRequired):
    """Events are told over a WebSocket: connect to this path with one."""

    code = "iam.socket_needed"


class BadMessage(Invalid):
    """The message on the WebSocket is none that is known here."""

    code = "iam.bad_message"
