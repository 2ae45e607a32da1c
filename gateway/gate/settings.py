"""What the environment says, read once.

Names are prefixed `GATE_`, or `SWITCHYARD_` for what all processes share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from gate.limits import PROFILES, Limits

ISSUER = "http://127.0.0.1:8080"


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
    # Folder with tls.crt and tls.key; empty: the public port speaks plain text.
    tls: str = ""


def read(environment: Mapping[str, str], profile: str | None, urls: Mapping[str, str]) -> Settings:
    """Return the settings; a `profile` given on the command line wins over the environment's."""

    def setting(name: str, default: str) -> str:
        shared = environment.get(f"SWITCHYARD_{name}", default)
        return environment.get(f"GATE_{name}", shared)

    return Settings(
        limits=_limits(profile or setting("PROFILE", "development")),
        issuer=setting("ISSUER", urls.get("issuer", urls.get("gateway", ISSUER))).rstrip("/"),
        audience=setting("AUDIENCE", "switchyard"),
        origins=_words(setting("CORS_ORIGINS", "")),
        otlp=setting("OTLP_ENDPOINT", "").removeprefix("http://").rstrip("/"),
        build_id=setting("BUILD_ID", "dev"),
        peers=_words(setting("PEERS", "")),
        tls=setting("TLS_DIR", ""),
        started_at=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _words(listed: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in listed.split(",") if word.strip())


def _limits(profile: str) -> Limits:
    if profile not in PROFILES:
        raise ValueError(f"profile {profile!r} is none of {', '.join(PROFILES)}")
    return PROFILES[profile]
