"""Idempotency keys: a repeated POST or PATCH has one effect and the same answer.

A request with `Idempotency-Key` runs in one transaction from its first read to its answer: the effect and the answer
are kept together or not at all, so no crash can leave one without the other. Only successes are kept: a refusal changed
nothing, so asking again is harmless. What is kept is sealed by a secret of ours and the client's own Idempotency-Key:
who reads the database reads no answer that is shown once, and cannot try what password a body held (docs/adr/0100).
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import digest
from os import urandom

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import DateTime, LargeBinary, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.responses import Response

from chassis.db import AMBIENT, Sessions, transaction
from chassis.errors import Conflict, Invalid

HEADER = "idempotency-key"
KEPT = timedelta(hours=24)
MOST, _NONCE = 255, 12
_KEPT_HEADERS = ("content-type", "etag", "location", "x-authz-epoch")


class KeyInUse(Conflict):
    """The same request is being answered right now."""

    code = "idempotency_in_progress"


class KeyReused(Invalid):
    """The key was used before, for a request that was not the same."""

    code = "idempotency_key_reused"


class BadIdempotencyKey(Invalid):
    """The key is empty, too long, or not printable ASCII."""

    code = "bad_idempotency_key"


class IdempotencyRow:
    """Mixin: give it to a service's own Base and the table lands in its schema."""

    __tablename__ = "idempotency"

    id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    request: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A request that may come again. `scope` says who asks for what: caller, method and path."""

    scope: str
    key: str
    body: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.key) <= MOST or not self.key.isascii() or not self.key.isprintable():
            raise BadIdempotencyKey(f"an idempotency key is 1 to {MOST} printable ASCII characters")

    @property
    def id(self) -> bytes:
        """Under which the answer is kept."""
        return sha256(f"{self.scope}\n{self.key}".encode()).digest()

    def request(self, secret: bytes) -> bytes:
        """What tells another request under the same key; without a secret as releases before 0100 told it."""
        plain = sha256(self.body).digest()
        return digest(secret, self.id + plain, "sha256") if secret else plain

    def seal(self, answer: bytes, secret: bytes) -> bytes:
        """Encrypt an answer; a client may use its key again when the answer is forgotten, so the nonce is new."""
        nonce = urandom(_NONCE)
        return nonce + self._cipher(secret).encrypt(nonce, answer, self.id)

    def unseal(self, sealed: bytes, secret: bytes) -> bytes:
        """Return the answer that was sealed for this key."""
        sealed = sealed if secret else bytes(_NONCE) + sealed
        return self._cipher(secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], self.id)

    def _cipher(self, secret: bytes) -> AESGCM:
        said = f"seal\n{self.scope}\n{self.key}".encode()
        return AESGCM(digest(secret, said, "sha256") if secret else sha256(said).digest())


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Answers a repeated request from what was kept of the first, under any of the `secrets`; the first one keeps."""

    sessions: Sessions
    row: type[IdempotencyRow]
    secrets: Sequence[bytes]

    async def once(self, retry: Retry, answer: Callable[[], Awaitable[Response]]) -> Response:
        """Answer a request, or give again the answer that it had."""
        async with transaction(self.sessions) as session:
            await self._claim(session, retry)
            if kept := await self._kept(session, retry):
                return kept
            token = AMBIENT.set(session)
            try:
                response = await answer()
            finally:
                AMBIENT.reset(token)
            if response.status_code < 300:
                await self._keep(session, retry, response)
        return response

    async def sweep(self) -> int:
        """Forget answers that are older than a day; return how many."""
        async with transaction(self.sessions) as session:
            old = delete(self.row).where(self.row.made_at < func.now() - KEPT)
            return len((await session.scalars(old.returning(self.row.id))).all())

    async def _claim(self, session: AsyncSession, retry: Retry) -> None:
        lock = int.from_bytes(retry.id[:8], signed=True)
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
            raise KeyInUse("a request with this idempotency key is still being answered")

    async def _kept(self, session: AsyncSession, retry: Retry) -> Response | None:
        fresh = self.row.made_at > func.now() - KEPT
        kept = await session.scalar(select(self.row).where(self.row.id == retry.id, fresh))
        if kept is None:
            return None
        for secret in (*self.secrets, b""):
            if kept.request == retry.request(secret):
                return _unpacked(retry.unseal(kept.answer, secret))
        raise KeyReused("this idempotency key was used for another request body")

    async def _keep(self, session: AsyncSession, retry: Retry, response: Response) -> None:
        request, answer = retry.request(self.secrets[0]), _packed(response)
        said = {"request": request, "answer": retry.seal(answer, self.secrets[0])}
        keep, again = insert(self.row).values(id=retry.id, **said), said | {"made_at": func.now()}
        await session.execute(keep.on_conflict_do_update(index_elements=["id"], set_=again))


def _packed(response: Response) -> bytes:
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    body = b64encode(bytes(response.body)).decode()
    return json.dumps([response.status_code, kept, body]).encode()


def _unpacked(packed: bytes) -> Response:
    status, headers, body = json.loads(packed)
    return Response(b64decode(body), status, {**headers, "idempotent-replayed": "true"})
