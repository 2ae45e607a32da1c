"""What the fakes of several services stand on: a clock that is set by hand, and an identity without credentials."""

from datetime import UTC, datetime, timedelta

from chassis.identity import NoCredential

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at

    def forward(self, **by):
        self.at += timedelta(**by)
        return self.at


class Names:
    """An identity that reads a name off the header instead of a credential."""

    def __init__(self, *callers):
        self._known = {caller.subject: caller for caller in callers}

    async def of(self, headers):
        said = headers.get("authorization", "").removeprefix("Bearer ")
        if said not in self._known:
            raise NoCredential("an access token or an API key is needed")
        return self._known[said]
