"""How names are compared, without regard to case or to how a letter is spelled, and what they must not hide."""

import re
from unicodedata import category, normalize
from uuid import UUID

from iam.domain.errors import BadEmail

_JOINERS = "\u200c\u200d"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def folded(name: str) -> str:
    """Return what two spellings of one name have in common (NFKC: a wide letter is the letter)."""
    return normalize("NFKC", normalize("NFKC", name).casefold())


def hides(name: str) -> bool:
    """Tell whether a name holds what nobody sees: controls, marks of direction, spaces without width.

    The two joiners are none of those: Persian and the scripts of India are spelled with them.
    """
    return any(category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in _JOINERS for c in name)


def email(text: str) -> str:
    """Return an e-mail address in NFC; BadEmail unless it has the form of one."""
    address = normalize("NFC", text.strip())
    if not _EMAIL.fullmatch(address) or any(category(c)[0] == "C" for c in address):
        raise BadEmail(f"{text[:64]!r} is not an e-mail address")
    return address


def as_id(text: str) -> UUID | None:
    """Return the id that a text is; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
