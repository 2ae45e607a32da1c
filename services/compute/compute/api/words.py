"""What the REST doors have in common: how names, numbers and searches are written."""

import re
from typing import Annotated

from fastapi import Query
from pydantic import BeforeValidator, Field, StringConstraints

# Nothing that nobody sees: controls, marks of direction, spaces without width. Terminals show names, too.
_UNSEEN = "\\x00-\\x1f\\x7f-\\x9f\u200b\u2028-\u202e\u2060\u2066-\u2069\ufeff"
_KEY = (
    r"^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
    r" [A-Za-z0-9+/]+={0,3}( [^\r\n]*)?$"
)


def _fit_to_be_seen(said: object) -> object:
    """Refuse in words what the pattern of a name refuses in signs that nobody sees."""
    if isinstance(said, str) and re.search(f"[{_UNSEEN}]", said.strip()):
        raise ValueError(
            "must not hold control characters, marks of direction or spaces without width"
        )
    return said


def _is_key(said: object) -> object:
    if isinstance(said, str) and not re.match(_KEY, said):
        raise ValueError(
            "must be an OpenSSH public key in one line, such as ssh-ed25519 AAAA… name"
        )
    return said


Name = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=100, pattern=f"^[^{_UNSEEN}]*$"
    ),
    BeforeValidator(
        _fit_to_be_seen
    ),  # the last is asked first; put first, it hid the pattern from OpenAPI
]
Reason = Annotated[str, StringConstraints(max_length=1000)]
LabelName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=63)
]
LabelValue = Annotated[str, StringConstraints(max_length=255)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=64)]
Cpu = Annotated[int, Field(ge=1, le=256)]
MemoryGb = Annotated[int, Field(ge=1, le=4096)]
DiskGb = Annotated[int, Field(ge=1, le=65536)]
# It is fetched later, through the guard against requests to places inside; here only its form is looked at.
IsoUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+/\S+$", max_length=2048)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^(sha256:)?[0-9a-f]{64}$")]
UserData = Annotated[str, StringConstraints(max_length=65536)]
SshKey = Annotated[
    str,
    StringConstraints(pattern=_KEY, max_length=8192),
    BeforeValidator(_is_key),
]
SshKeys = Annotated[list[SshKey], Field(max_length=32)]
# PostgreSQL holds no NUL, so nothing with one in it can be found.
Search = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
