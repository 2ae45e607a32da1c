"""Encryption at rest: every person has a key of their own, wrapped under a secret that is not in the database.

AES-256-GCM throughout (NIST SP 800-38D); the wrapping key is derived from the secret by HKDF (RFC 5869). Each text is
sealed with a nonce of its own and bound to what it is about, so that nothing can be moved to another place.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12
_MOST = 20_000


class AesVault:
    """Makes keys, and seals with them."""

    def __init__(self, secret: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"switchyard audit keys of people")
        self._wrapping = AESGCM(derived.derive(secret.encode()))
        self._open: dict[bytes, AESGCM] = {}

    def fresh(self) -> bytes:
        """Return a new key, wrapped."""
        return _sealed(self._wrapping, os.urandom(32), b"key")

    def seal(self, key: bytes, text: bytes, about: bytes) -> bytes:
        """Return a text, sealed under a wrapped key to what it is about."""
        return _sealed(self._cipher(key), text, about)

    def unseal(self, key: bytes, sealed: bytes, about: bytes) -> bytes | None:
        """Return a text; None if it was sealed under another key or about something else."""
        try:
            return self._cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], about)
        except (InvalidTag, ValueError):
            return None

    def wrap(self, text: bytes, about: bytes) -> bytes:
        """Return a secret of the service's own, sealed under the wrapping key."""
        return _sealed(self._wrapping, text, about)

    def unwrap(self, sealed: bytes, about: bytes) -> bytes:
        """Return what `wrap` sealed; InvalidTag if the secret is another today."""
        return self._wrapping.decrypt(sealed[:_NONCE], sealed[_NONCE:], about)

    def _cipher(self, key: bytes) -> AESGCM:
        if (cipher := self._open.get(key)) is None:
            if len(self._open) >= _MOST:
                self._open.clear()
            cipher = self._open[key] = AESGCM(
                self._wrapping.decrypt(key[:_NONCE], key[_NONCE:], b"key")
            )
        return cipher


def _sealed(cipher: AESGCM, text: bytes, about: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, text, about)
