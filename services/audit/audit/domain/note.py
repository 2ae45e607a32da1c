"""Signed notes and checkpoints, as C2SP writes them (signed-note, tlog-checkpoint, tlog-proof), with Ed25519 keys.

A checkpoint says how many leaves a log has and what its tree comes to. Each log signs under a name of its own, which is
its origin too; the key may be the same.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
Sign = Callable[[bytes], bytes]


class BadNote(ValueError):
    """What should be a signed checkpoint is none, or not by this key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: its name, how many leaves, and the root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def key_id(name: str, public: bytes) -> bytes:
    """Return the four bytes by which a signature names its key."""
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def vkey(name: str, public: bytes) -> str:
    """Return the verifier key that is handed out: name, id and public key."""
    return f"{name}+{key_id(name, public).hex()}+{b64encode(ED25519 + public).decode()}"


def signed(state: Checkpoint, public: bytes, sign: Sign) -> str:
    """Return the checkpoint as a signed note."""
    text = state.text()
    signature = b64encode(key_id(state.origin, public) + sign(text.encode())).decode()
    return f"{text}\n\u2014 {state.origin} {signature}\n"


def read_checkpoint(note: str) -> Checkpoint:
    """Return what a signed checkpoint says, unverified; BadNote if it is none."""
    try:
        origin, size, root, *_ = note.split("\n")
        state = Checkpoint(origin, int(size), b64decode(root, validate=True))
    except ValueError:
        raise BadNote("this is no checkpoint") from None
    if str(state.size) != size or state.size < 0 or len(state.root) != 32 or not origin:
        raise BadNote("this is no checkpoint")
    return state


def verified(note: str, key: str) -> Checkpoint:
    """Return what a checkpoint says, signed by the key of this verifier key; BadNote if it is not."""
    return read_checkpoint(opened(note, key))


def opened(note: str, key: str) -> str:
    """Return the text of a note that this verifier key's key signed; BadNote if it did not."""
    name, public = _public(key)
    text, blank, signatures = note.partition("\n\n")
    text += "\n"
    if not blank:
        raise BadNote("the checkpoint has no signature")
    for line in signatures.splitlines():
        if line.startswith(f"\u2014 {name} "):
            said = _bytes(line.rpartition(" ")[2])
            if said[:4] == key_id(name, public):
                return _checked(text, said[4:], public)
    raise BadNote(f"the checkpoint is not signed by {name}")


def _checked(text: str, signature: bytes, public: bytes) -> str:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text.encode())
    except InvalidSignature:
        raise BadNote("the checkpoint's signature does not fit it") from None
    return text


def _public(key: str) -> tuple[str, bytes]:
    name, _, rest = key.strip().partition("+")
    ident, _, packed = rest.partition("+")
    said = _bytes(packed)
    if said[:1] != ED25519 or len(said) != 33 or key_id(name, said[1:]).hex() != ident:
        raise BadNote("this is no Ed25519 verifier key")
    return name, said[1:]


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except NotBase64:
        raise BadNote("this is not base64") from None


def proof_text(leaf: bytes, index: int, hashes: Sequence[bytes], note: str) -> str:
    """Return a proof of inclusion as tlog-proof@v1 writes it; the leaf's own bytes are its extra data."""
    lines = ["c2sp.org/tlog-proof@v1", f"extra {b64encode(leaf).decode()}", f"index {index}"]
    return "\n".join([*lines, *(b64encode(step).decode() for step in hashes), "", note])
