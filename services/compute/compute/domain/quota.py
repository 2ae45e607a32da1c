"""How much a tenant may have, and has."""

from dataclasses import dataclass, fields, replace

from compute.domain.errors import QuotaExceeded, QuotaStale


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a tenant may have at most, where it was said for this tenant; None: as the deployment's settings have it."""

    vms: int | None = None
    cpu: int | None = None
    memory_gb: int | None = None
    disk_gb: int | None = None

    def over(self, default: Amount) -> Amount:
        """Return what holds: what was said, else the default."""
        said = {name: getattr(self, name) for name in RESOURCES}
        return Amount(**{n: getattr(default, n) if it is None else it for n, it in said.items()})


@dataclass(frozen=True, slots=True)
class Quota:
    """What a tenant may have at most, and what it has, which may be more: a limit can be set below what is there.

    `version` counts the changes of the limit, not of what is used.
    """

    limit: Amount
    used: Amount = Amount()
    limits: Limits = Limits()
    version: int = 1

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            raise QuotaStale(f"the quota is at version {self.version}, not {version}")

    def limited(self, limits: Limits, default: Amount) -> "Quota":
        """Return the quota with these limits. Nothing is taken away from who has more; they get no more of it."""
        if limits == self.limits:
            return self
        return Quota(limits.over(default), self.used, limits, self.version + 1)

    def taken(self, more: Amount) -> "Quota":
        """Return the quota after taking more; QuotaExceeded says of what there is not enough."""
        after = self.used + more
        over = [  # only of what is asked for: who is over a limit of one thing may still have others
            f"{name} {getattr(self.used, name)} of {getattr(self.limit, name)} used, {getattr(more, name)} more asked"
            for name in RESOURCES
            if getattr(more, name) and getattr(after, name) > getattr(self.limit, name)
        ]
        if over:
            raise QuotaExceeded(f"that is more than the quota: {'; '.join(over)}")
        return replace(self, used=after)
