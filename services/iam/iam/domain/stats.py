"""The platform in numbers, each counted or absent."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What iam's own tables say."""

    tenants: int
    tenants_active: int
    users: int
    users_active: int
    sessions: int
    api_keys: int
    logins_24h: int
    users_seen_24h: int
    changes_24h: int


@dataclass(frozen=True, slots=True)
class Connected:
    """How many are connected: to how many replicas, and by what."""

    replicas: int
    websockets: int
    streams: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Everything together. What is None has its reason, by the name that it has on the wire."""

    counted: Counted
    connected: Connected | None
    reasons: Mapping[str, str]
