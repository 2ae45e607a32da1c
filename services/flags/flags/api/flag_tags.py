"""ETags of flags: the version, and what else a flag's document shows that no version of it counts.

An environment that comes, or goes and comes back, changes what every flag of its project says, and the version of none.
So where a project has other environments than it was born with, the tag has a digest of what the flag does in each of
them behind the version: `"5-1f0c8a9d2b7e"`. `If-Match` goes by the version alone, with or without the digest.
"""

import re
from hashlib import sha256
from typing import Annotated

import orjson
from fastapi import Depends, Request, Response

from chassis.http import expected_version
from flags.domain.flag import Flag
from flags.domain.place import BORN_WITH

_WITH_A_DIGEST = re.compile(r'(?:W/)?"([0-9]{1,18})-[0-9a-f]{12}"')


def tag_of(flag: Flag) -> str:
    """Return the entity tag of a flag."""
    if flag.switches.keys() == BORN_WITH.keys():
        return f'"{flag.version}"'
    said = [
        (key, switch.version, switch.enabled, switch.default_variant, switch.off_variant)
        for key, switch in sorted(flag.switches.items())
    ]
    return f'"{flag.version}-{sha256(orjson.dumps(said)).hexdigest()[:12]}"'


def known_already(request: Request, response: Response, flag: Flag) -> bool:
    """Put a flag's ETag on a response; tell whether the client has it already (then answer 304)."""
    tag = response.headers["etag"] = tag_of(flag)
    sent = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    return sent == ["*"] or tag in (one.removeprefix("W/") for one in sent)


async def expected_flag(request: Request) -> int | None:
    """Return the version of a flag that `If-Match` demands; None where any will do."""
    sent = _WITH_A_DIGEST.fullmatch(request.headers.get("if-match", "").strip())
    return int(sent[1]) if sent else await expected_version(request)


ExpectedFlag = Annotated[int | None, Depends(expected_flag)]
