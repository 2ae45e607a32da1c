"""The key that signs checkpoints (Ed25519, RFC 8032)."""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def new_key() -> bytes:
    """Return a new private key."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def signing(private: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return the public key of a private one, and what signs with it."""
    key = Ed25519PrivateKey.from_private_bytes(private)
    return key.public_key().public_bytes_raw(), key.sign
