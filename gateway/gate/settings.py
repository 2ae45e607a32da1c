"""What the environment says, read once.

Names are prefixed `GATE_`, or `SWITCHYARD_` for what all processes share.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from gate.limits import PROFILES, RATES, Limits

ISSUER = "http://127.0.0.1:8080"
_FARTHEST = 10
_HIGHEST = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything about the gate that is neither an address nor a door."""

    limits: Limits
    issuer: str
    audience: str
    # Origins (scheme://host[:port]) whose pages may call the API.
    origins: tuple[str, ...]
    # host:port of an OTLP collector (gRPC); empty: no traces.
    otlp: str
    build_id: str
    started_at: str
    # Names (or addresses) of all gates, this one among them, which share the limits; empty: there is no other.
    peers: tuple[str, ...] = ()
    # How many proxies of ours stand in front, each of which adds to X-Forwarded-For whom it heard; 0: none is believed.
    trusted_hops: int = 0
    # Folder with tls.crt and tls.key; empty: the public port speaks plain text.
    tls: str = ""


def read(environment: Mapping[str, str], profile: str | None, urls: Mapping[str, str]) -> Settings:
    """Return the settings; a `profile` given on the command line wins over the environment's."""

    def setting(name: str, default: str) -> str:
        shared = environment.get(f"SWITCHYARD_{name}", default)
        return environment.get(f"GATE_{name}", shared)

    return Settings(
        limits=_limits(profile or setting("PROFILE", "development"), setting("LIMITS", "")),
        issuer=setting("ISSUER", urls.get("issuer", urls.get("gateway", ISSUER))).rstrip("/"),
        audience=setting("AUDIENCE", "switchyard"),
        origins=_words(setting("CORS_ORIGINS", "")),
        otlp=setting("OTLP_ENDPOINT", "").removeprefix("http://").rstrip("/"),
        build_id=setting("BUILD_ID", "dev"),
        peers=_words(setting("PEERS", "")),
        trusted_hops=_hops(setting("TRUSTED_HOPS", "0")),
        tls=setting("TLS_DIR", ""),
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _words(listed: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in listed.split(",") if word.strip())


def _hops(said: str) -> int:
    if not said.isdecimal() or int(said) > _FARTHEST:
        raise ValueError(
            f"GATE_TRUSTED_HOPS is {said!r}: the number of proxies in front, 0 to {_FARTHEST}"
        )
    return int(said)


def _limits(profile: str, changes: str) -> Limits:
    """Return the limits of a profile with changes to them: `strict_per_minute=60, tenant_rate=10000`."""
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is none of {', '.join(PROFILES)}")
    changed = dict(_limit(change) for change in _words(changes))
    return replace(PROFILES[profile], **changed)


def _limit(change: str) -> tuple[str, int]:
    name, _, number = (part.strip() for part in change.partition("="))
    if name not in RATES:
        raise ValueError(f"GATE_LIMITS: {name!r} is none of {', '.join(RATES)}")
    if not number.isdecimal() or not 0 < int(number) <= _HIGHEST:
        raise ValueError(
            f"GATE_LIMITS: {name} is a whole number from 1 to {_HIGHEST}, not {number!r}"
        )
    return name, int(number)
