"""Names that look alike though they are written with other letters.

`skeleton` is that of UTS #39 in kind: compatibility forms folded (NFKC, so that full-width and mathematical letters are
plain ones), case folded, marks and what cannot be seen removed, and letters of other alphabets that look like Latin
ones replaced by those. The table is a part of the standard's: the Cyrillic, Greek and Armenian letters whose likeness
is complete in common typefaces; other scripts are compared as they are. ASCII is left alone: `role1` and `rolel` are
two names.
"""

# ruff: noqa: RUF001 - that they are confusable is the point

from unicodedata import category, normalize

_LIKE = {
    "a": "аɑα",
    "b": "ьвβ",
    "c": "сϲ",
    "d": "ԁ",
    "e": "еҽε",
    "g": "ɡց",
    "h": "һհн",
    "i": "іιɩı",
    "j": "јϳ",
    "k": "кκ",
    "l": "ӏ",
    "m": "мμ",
    "n": "ոη",
    "o": "оοօσ",
    "p": "рρ",
    "q": "ԛ",
    "s": "ѕ",
    "t": "тτ",
    "u": "υս",
    "v": "ѵν",
    "w": "ԝωա",
    "x": "хχ",
    "y": "уүγ",
    "z": "ᴢζ",
}
_TABLE = {ord(c): latin for latin, others in _LIKE.items() for c in others.casefold()}


def skeleton(name: str) -> str:
    """Return what names that look alike have in common."""
    plain = normalize("NFD", normalize("NFKC", name).casefold())
    seen = "".join(c for c in plain if category(c) not in ("Mn", "Cf", "Cc"))
    return " ".join(normalize("NFC", seen.translate(_TABLE)).split())
