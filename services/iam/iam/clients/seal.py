"""Encryption at rest: AES-256-GCM under a key derived from a secret that is not in the database (RFC 5869)."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class AesSealer:
    """Seals with one secret. What is sealed is bound to what it is about."""

    def __init__(self, secret: str, purpose: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=f"switchyard iam {purpose}".encode())
        self._cipher = AESGCM(derived.derive(secret.encode()))

    def seal(self, secret: bytes, about: str) -> bytes:
        """Return the secret, sealed to what it is about."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, about.encode())

    def unseal(self, sealed: bytes, about: str) -> bytes | None:
        """Return the secret; None if it was sealed with another key or about something else."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except (InvalidTag, ValueError):
            return None
