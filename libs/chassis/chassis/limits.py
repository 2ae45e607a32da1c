"""Rate limits: a bucket per credential, kept in the process (GCRA: one number per bucket, no timer).

The generic cell rate algorithm keeps the theoretical arrival time of the next request (ITU-T I.371); a request is
refused while that lies more than the burst ahead. The gateway limits clients before they reach a service; this limit is
what the RateLimit headers (draft-ietf-httpapi-ratelimit-headers) speak of.
"""

from dataclasses import dataclass, field
from math import ceil


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass, how many more may follow at once, and when (seconds) the bucket is whole again."""

    allowed: bool
    remaining: int
    reset: int
    policy: str

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields that tell the client."""
        fields = [
            (b"ratelimit-policy", self.policy.encode()),
            (b"ratelimit", f'"default";r={self.remaining};t={self.reset}'.encode()),
        ]
        return (
            fields
            if self.allowed
            else [*fields, (b"retry-after", str(max(1, self.reset)).encode())]
        )


@dataclass(slots=True)
class Limiter:
    """Lets `rate` requests a second through per name, and as many at once."""

    rate: int
    most_names: int = 100_000
    _arrival: dict[str, float] = field(default_factory=dict[str, float])

    def ask(self, name: str, now: float) -> Verdict:
        """Count one request of `name` at `now` (seconds, monotonic)."""
        step, burst = 1 / self.rate, 1.0
        arrival = max(self._arrival.get(name, now), now)
        allowed = arrival - now <= burst - step
        if allowed:
            arrival += step
            self._keep(name, arrival, now)
        ahead = arrival - now
        remaining = max(0, int((burst - ahead) * self.rate + 1e-9))
        return Verdict(allowed, remaining, ceil(ahead), f'"default";q={self.rate};w=1')

    def _keep(self, name: str, arrival: float, now: float) -> None:
        if len(self._arrival) >= self.most_names and name not in self._arrival:
            self._arrival = {n: at for n, at in self._arrival.items() if at > now}
        self._arrival[name] = arrival
