"""The strict verifier of access tokens (RFC 9068, RFC 8725): one algorithm, one type, known keys, nothing fetched.

joserfc checks the signature; everything that a lenient library or gateway lets pass is refused here before it is asked.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from chassis.errors import Unauthenticated

ALGORITHM = "ES256"
TYPE = "at+jwt"
MOST_BYTES = 8192
LEEWAY, AHEAD = 30.0, 300.0  # seconds: past its end, and from a clock ahead of ours (docs/adr/0077)
_END = 253_402_300_800  # the end of the calendar, in seconds
_KID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class BadToken(Unauthenticated):
    """The access token is malformed, expired, or not one of ours."""

    code = "bad_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified token says. Times are seconds since the epoch."""

    subject: str
    tenant: str
    session: str
    scope: frozenset[str]
    issued: float
    expires: float


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks tokens for one issuer and audience."""

    issuer: str
    audience: str

    def verify(self, token: str, keys: Mapping[str, ECKey], now: float) -> Claims:
        """Return the claims of a token that holds in every respect; BadToken otherwise."""
        header, claims = _opened(token)
        key = keys.get(_kid_of(header))
        if key is None:
            raise BadToken("the token is signed with a key that is unknown or withdrawn")
        check_signature(token, key)
        return self._checked(claims, now)

    def _checked(self, claims: Mapping[str, Any], now: float) -> Claims:
        if claims.get("iss") != self.issuer:
            raise BadToken("the token is from another issuer")
        aud = claims.get("aud")
        if self.audience not in (cast("list[Any]", aud) if isinstance(aud, list) else [aud]):
            raise BadToken("the token is meant for another audience")
        exp, iat = _number(claims, "exp"), _number(claims, "iat")
        if exp + LEEWAY <= now:
            raise BadToken("the token has expired; refresh it or log in again")
        if iat - AHEAD > now or _number(claims, "nbf", 0) - AHEAD > now:
            raise BadToken("the token is from the future: are the clocks right?")
        sub, tid, sid = (_text(claims, name) for name in ("sub", "tid", "sid"))
        return Claims(
            subject=sub, tenant=tid, session=sid, scope=_scope(claims), issued=iat, expires=exp
        )


def public_key(jwk: str) -> ECKey:
    """Read a public JWK; ValueError unless it is a P-256 key."""
    key = ECKey.import_key(cast("dict[str, str | list[str]]", json.loads(jwk)))
    if key.curve_name != "P-256":
        raise ValueError(f"{ALGORITHM} needs a P-256 key, not {key.curve_name}")
    return key


def check_signature(token: str, key: ECKey) -> None:
    """Refuse a compact JWS that this key did not sign with our algorithm. Its header is not looked at further."""
    try:
        jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
    except (JoseError, ValueError) as wrong:
        raise BadToken("the token's signature does not hold") from wrong


def _opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = token.split(".")
    if len(token) > MOST_BYTES or len(parts) != 3:
        raise BadToken("this is not an access token")
    header, claims = _json(parts[0]), _json(parts[1])
    _decoded(parts[2])
    return header, claims


def _kid_of(header: Mapping[str, Any]) -> str:
    """Return the key id of a header that we accept at all. `jku`, `x5u` and `jwk` are never looked at."""
    if header.get("alg") != ALGORITHM or header.get("typ") != TYPE:
        raise BadToken(f"access tokens are {TYPE} signed with {ALGORITHM}")
    if "crit" in header or "b64" in header:
        raise BadToken("the token demands an extension that we do not know")
    kid = header.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise BadToken("the token does not say which key signed it")
    return kid


def _decoded(part: str) -> bytes:
    """Decode base64url, refusing every spelling but the canonical one."""
    try:
        raw = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise BadToken("this is not an access token") from None
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise BadToken("the token is not encoded canonically")
    return raw


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadToken("the token says one thing twice")
    return made


def _json(part: str) -> dict[str, Any]:
    try:
        said: object = json.loads(_decoded(part), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise BadToken("this is not an access token") from None
    if not isinstance(said, dict):
        raise BadToken("this is not an access token")
    return cast("dict[str, Any]", said)


def _number(claims: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = claims.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"the token's {name} is missing or not a number")
    if not abs(value) < _END:  # NaN is none either, which JSON does not have, but Python's reader
        raise BadToken(f"the token's {name} is no time")
    return float(value)


def _scope(claims: Mapping[str, Any]) -> frozenset[str]:
    value = claims.get("scope", "")
    if not isinstance(value, str):
        raise BadToken("the token's scope is not a text")
    return frozenset(value.split())


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value:
        raise BadToken(f"the token's {name} is missing")
    return value
