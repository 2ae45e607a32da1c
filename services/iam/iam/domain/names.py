"""How names are compared: after NFC, without regard to case."""

import re
from unicodedata import category, normalize

from iam.domain.errors import BadEmail

_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def folded(name: str) -> str:
    """Return what two spellings of one name have in common."""
    return normalize("NFC", normalize("NFC", name).casefold())


def email(text: str) -> str:
    """Return an e-mail address in NFC; BadEmail unless it has the form of one."""
    address = normalize("NFC", text.strip())
    if not _EMAIL.fullmatch(address) or any(category(c)[0] == "C" for c in address):
        raise BadEmail(f"{text[:64]!r} is not an e-mail address")
    return address
