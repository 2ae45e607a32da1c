"""The form of API keys: `sy_<kind>_<id>_<secret><check>`. Only their SHA-256 is ever kept.

The last six characters check the rest (CRC-32 in base 62), so that a mistyped key is refused without asking anyone.
"""

import re
import secrets
import string
from hashlib import sha256
from zlib import crc32

KINDS = {"server": "srv", "client": "cli", "management": "mgt"}
FORM = re.compile(r"sy_[a-z]{2,4}_[A-Za-z0-9]{8,40}_[A-Za-z0-9]{20,80}")
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECK = 6


def mint(kind: str) -> tuple[str, str]:
    """Return (public id, whole key) of a new key with 190 random bits. `kind` is server, client or management."""
    key_id, secret = _random(16), _random(32)
    body = f"sy_{KINDS[kind]}_{key_id}_{secret}"
    return key_id, body + check_of(body)


def well_formed(key: str) -> bool:
    """Tell whether a text can be a key at all: its form and its check characters."""
    return bool(FORM.fullmatch(key)) and key[-_CHECK:] == check_of(key[:-_CHECK])


def prefix_of(key: str) -> str:
    """Return the part of a well-formed key that may be shown: everything before the secret."""
    return key.rpartition("_")[0]


def digest(key: str) -> str:
    """Return what is kept of a key: its SHA-256 in lower-case hex."""
    return sha256(key.encode()).hexdigest()


def check_of(body: str) -> str:
    """Return the check characters of everything before them."""
    number, digits = crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
    return digits


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
