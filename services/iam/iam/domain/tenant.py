"""Tenants. An organization is the same thing under its other name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

PLATFORM = "platform"  # the tenant that runs the platform
RESERVED = frozenset({PLATFORM, "www", "api", "admin", "static", "docs", "grpc", "ws"})
SUBDOMAIN = r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$"
_SUBDOMAIN = re.compile(SUBDOMAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One organization: the wall around everything that belongs to it. `address` is free-form JSON."""

    id: UUID
    subdomain: str
    name: str
    full_name: str = ""
    address: Mapping[str, Any] = field(default_factory=dict[str, Any])
    phone: str = ""
    email: str = ""
    active: bool = True
    created_at: datetime
    updated_at: datetime
    version: int = 1


def may_be_registered(subdomain: str) -> bool:
    """Tell whether the public may have this subdomain."""
    return bool(_SUBDOMAIN.fullmatch(subdomain)) and subdomain not in RESERVED
