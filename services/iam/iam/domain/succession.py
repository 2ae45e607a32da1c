"""A used refresh token can show its successor, to whoever has the used one: sealed with the token itself.

The database holds only the token's SHA-256, so nobody can read a successor out of it.
"""

from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# Each token seals exactly one successor under a key of its own, so the nonce may be fixed.
_NONCE = b"\x00" * 12


def seal_successor(token: str, successor: str) -> bytes:
    """Return the successor, readable with the token alone."""
    return _cipher(token).encrypt(_NONCE, successor.encode(), None)


def unseal_successor(token: str, sealed: bytes) -> str:
    """Return the successor that was sealed with this token."""
    return _cipher(token).decrypt(_NONCE, sealed, None).decode()


def _cipher(token: str) -> AESGCM:
    return AESGCM(sha256(f"successor {token}".encode()).digest())
