"""Which passwords are accepted. Length and a block list, no rules of composition (NIST SP 800-63B-4, 3.1.1)."""

from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

from iam.domain.errors import WeakPassword
from iam.domain.names import folded

Profile = Literal["compat", "standard", "test"]
LONGEST = 1024

# What attackers try first; the bootstrap administrator in production may have none of these, whatever else is in them.
_WORDS = (
    "changeme change-me admin administrator password passw0rd password1 password123 root toor "
    "letmein welcome welcome1 secret default switchyard qwerty qwerty123 123456 1234567 "
    "12345678 123456789 1234567890 111111 000000 abc123 iloveyou monkey dragon sunshine "
    "princess football baseball master superman trustno1 hello123 admin123 root123 test123 "
    "guest p@ssw0rd p@ssword "
)
KNOWN_WEAK = frozenset(_WORDS.split())


@dataclass(frozen=True, slots=True)
class Policy:
    """What a new password must be."""

    shortest: int
    blocks_known: bool

    def check(self, password: str, *about: str) -> str:
        """Return a new password in NFC; WeakPassword with the reason if it will not do.

        `about` are the user's own names: a password that is only one of them is refused where known ones are.
        """
        made = normalize("NFC", password)
        if len(made) < self.shortest:
            raise WeakPassword(
                f"the password has {len(made)} characters; choose one of at least {self.shortest}, "
                "a few words that nobody else would put together"
            )
        if len(made) > LONGEST:
            raise WeakPassword(f"the password is too long; choose one of at most {LONGEST}")
        if self.blocks_known and (known(made) or folded(made) in {folded(name) for name in about}):
            raise WeakPassword(
                "this password is among the first that an attacker would try; choose another one"
            )
        return made


POLICIES: dict[Profile, Policy] = {
    "compat": Policy(shortest=6, blocks_known=False),
    "test": Policy(shortest=6, blocks_known=False),
    "standard": Policy(shortest=15, blocks_known=True),
}


def known(password: str) -> bool:
    """Tell whether a password is one of the known ones, alone or repeated: `password`, `adminadminadmin`."""
    text = folded(password)
    return any(text == word * max(1, len(text) // len(word)) for word in KNOWN_WEAK)
