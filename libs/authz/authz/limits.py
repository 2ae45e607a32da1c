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
class Bucket:
    """What one name may still ask. For a hot path: no allocation but the number that it returns."""

    rate: int
    arrival: float = 0.0

    def take(self, now: float) -> int:
        """Count one request at `now` (seconds, monotonic); return how many more may follow at once, or -1: refused."""
        arrival = self.arrival if self.arrival > now else now
        left = int((1.0 - arrival + now) * self.rate + 1e-6) - 1
        if left >= 0:
            self.arrival = arrival + 1.0 / self.rate
        return left


@dataclass(slots=True)
class Limiter:
    """Lets `rate` requests a second through per name, and as many at once."""

    rate: int
    most_names: int = 100_000
    _buckets: dict[str, Bucket] = field(default_factory=dict[str, Bucket])

    def ask(self, name: str, now: float) -> Verdict:
        """Count one request of `name` at `now` (seconds, monotonic)."""
        bucket = self.bucket(name, now)
        left = bucket.take(now)
        return self.verdict(left, bucket.arrival - now)

    def bucket(self, name: str, now: float) -> Bucket:
        """Return the bucket of a name, to keep at hand where each look-up counts."""
        if (found := self._buckets.get(name)) is None:
            if len(self._buckets) >= self.most_names:
                self._buckets = {n: b for n, b in self._buckets.items() if b.arrival > now}
            found = self._buckets[name] = Bucket(self.rate)
        return found

    def verdict(self, left: int, ahead: float) -> Verdict:
        """Return what `Bucket.take` said, in the words of the header fields."""
        return Verdict(left >= 0, max(0, left), ceil(ahead), f'"default";q={self.rate};w=1')
