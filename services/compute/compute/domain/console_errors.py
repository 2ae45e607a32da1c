"""What can go wrong at a machine's console."""

from chassis.errors import Conflict, Forbidden, UpgradeRequired


class SocketNeeded(UpgradeRequired):
    """A console is a WebSocket: connect to this path with one."""

    code = "compute.socket_needed"


class BadTicket(Forbidden):
    """The ticket was used, is older than 30 seconds, or was given to somebody else or for another machine."""

    code = "compute.bad_ticket"


class ConsoleInUse(Conflict):
    """Somebody is at the console of this machine; there is place for one."""

    code = "compute.console_in_use"


class NoConsole(Conflict):
    """The machine does not run, so it has no console now; start it."""

    code = "compute.no_console"
