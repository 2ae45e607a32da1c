"""How much a tenant may have, and has."""

from dataclasses import dataclass, fields

from compute.domain.errors import QuotaExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """So many machines, and so much of what they need. Memory and disk in GiB."""

    vms: int = 0
    cpu: int = 0
    memory_gb: int = 0
    disk_gb: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(**{n: getattr(self, n) + getattr(other, n) for n in RESOURCES})

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(**{n: getattr(self, n) - getattr(other, n) for n in RESOURCES})


RESOURCES = tuple(field.name for field in fields(Amount))


@dataclass(frozen=True, slots=True)
class Quota:
    """What a tenant may have at most, and what it has."""

    limit: Amount
    used: Amount = Amount()

    def taken(self, more: Amount) -> "Quota":
        """Return the quota after taking more; QuotaExceeded says of what there is not enough."""
        after = self.used + more
        over = [
            f"{name} {getattr(self.used, name)} of {getattr(self.limit, name)} used, {getattr(more, name)} more asked"
            for name in RESOURCES
            if getattr(after, name) > getattr(self.limit, name)
        ]
        if over:
            raise QuotaExceeded(f"that is more than the quota: {'; '.join(over)}")
        return Quota(self.limit, after)
