"""The platform in numbers, over REST."""

from dataclasses import asdict
from typing import Annotated

from pydantic import Field

from chassis.http import Asking, View, doors, given, needs
from iam.domain.stats import Stats
from iam.usecases.stats import Statistics

router = doors("/api/v1/admin", "admin")
Uses = Annotated[Statistics, given(Statistics)]


class UsageView(View):
    """What the platform was used for."""

    logins_24h: int
    users_seen_24h: int
    changes_24h: int = Field(description="Things made, changed or deleted under /global")
    flag_evaluations: int | None = None
    audit_entries: int | None = None
    vm_hours: int | None = None


class StatsView(View):
    """Counts over all tenants. For each that is null, `reasons` says why."""

    replicas: int | None = Field(description="Replicas of iam that serve")
    websockets: int | None = Field(description="Open at all replicas of iam together")
    streams: int | None = Field(description="Open streams of authority, to services and gates")
    tenants: int
    tenants_active: int
    users: int
    users_active: int
    sessions: int = Field(description="That are neither ended nor expired")
    api_keys: int = Field(description="That are neither revoked nor expired")
    usage: UsageView
    reasons: dict[str, str]


# Nobody reaches it by a role in an organization, also where that holds the permission.
@router.get("/stats", **needs("platform:read", **{"x-reach": "platform"}))
async def stats(caller: Asking, statistics: Uses) -> StatsView:
    """Count what there is. For administrators of the platform."""
    return _view(await statistics.all(caller))


def _view(found: Stats) -> StatsView:
    counted, connected = asdict(found.counted), found.connected
    return StatsView(
        replicas=connected and connected.replicas,
        websockets=connected and connected.websockets,
        streams=connected and connected.streams,
        usage=UsageView(**{n: v for n, v in counted.items() if n in UsageView.model_fields}),
        reasons=dict(found.reasons),
        **{n: v for n, v in counted.items() if n in StatsView.model_fields},
    )
