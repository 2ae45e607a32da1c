"""How much may pass: rate limits, timeouts and sizes, one set per environment.

Test runs carry their own quota; nothing is ever switched off. `total_rate` is the process's own; the other rates are
of all gates together: each of N lets an N-th through (docs/adr/0081), so N must stay below the smallest of them.
"""

from dataclasses import dataclass
from enum import StrEnum

MIB = 1 << 20


class AddressLimit(StrEnum):
    """Doors that have a limit for each client address (`x-limit`)."""

    STRICT = "strict"  # what may be guessed: logins and the like
    RENEWAL = "renewal"  # what shows a secret that cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Rates are per second unless the name says otherwise, times are seconds, sizes bytes."""

    # Safety net of the whole process, checked before anything dear.
    total_rate: int
    # What one tenant may ask for, and one API key of it (bursts are one second's worth).
    tenant_rate: int
    key_rate: int
    # What all keys together that the gate has not heard of may ask for: each is a question to iam behind it.
    unresolved_rate: int
    # Per client address and door, see `AddressLimit`.
    strict_per_minute: int
    renewals_per_minute: int
    trace_percent: float
    body: int = MIB
    # For doors that declare a larger body with `x-body-limit`.
    large_body: int = 8 * MIB
    headers_kib: int = 32
    headers_count: int = 64
    connections: int = 20_000
    upstream_requests: int = 1024
    # Open event streams and sockets of one service: counted apart, so that they take no place of a request.
    streams: int = 10_000
    request_headers_time: float = 5
    # The whole request must have arrived by then (slow bodies).
    request_time: float = 30
    stream_idle_time: float = 60
    # Answer time of a door that does not say `x-timeout`.
    door_time: float = 15
    hot_time: float = 5
    # After which a hot door asks another replica: the first may be there and silent.
    try_time: float = 1
    # Between two signs of life of an event stream or WebSocket; a socket's heart beats every twenty seconds.
    event_idle_time: float = 120
    socket_idle_time: float = 90
    # Known keys are served this long without a heart-beat from iam; unknown ones are refused with
    # 503 instead of 401 much sooner, because the answer may be sitting in a log that did not arrive.
    keys_usable_for: float = 900
    keys_fresh_for: float = 10
    keys_poll: float = 0.25
    health_interval: float = 1
    # How often DNS is asked who the other gates are: by then a new one has its share, and who is gone leaves his.
    gates_interval: float = 5

    def of_addresses(self, limit: AddressLimit) -> int:
        """Return how many requests a minute one client address may send through such a door."""
        return self.strict_per_minute if limit is AddressLimit.STRICT else self.renewals_per_minute


# What `GATE_LIMITS` may change of a profile.
RATES = (
    "total_rate",
    "tenant_rate",
    "key_rate",
    "unresolved_rate",
    "strict_per_minute",
    "renewals_per_minute",
)
PROFILES = {
    "development": Limits(
        total_rate=50_000,
        tenant_rate=20_000,
        key_rate=20_000,
        unresolved_rate=500,
        strict_per_minute=300,
        renewals_per_minute=30_000,
        trace_percent=1,
    ),
    # Limits small enough to be hit by the platform's own tests only where those mean to.
    "test": Limits(
        total_rate=200_000,
        tenant_rate=50_000,
        key_rate=50_000,
        unresolved_rate=2_000,
        strict_per_minute=6_000,
        renewals_per_minute=60_000,
        try_time=2.5,  # the machines that run tests are busy
        trace_percent=100,
    ),
    "production": Limits(
        total_rate=50_000,
        tenant_rate=5_000,
        key_rate=2_000,
        unresolved_rate=100,
        strict_per_minute=30,
        renewals_per_minute=3_000,
        trace_percent=1,
    ),
}
