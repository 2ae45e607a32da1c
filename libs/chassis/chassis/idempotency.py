"""Idempotency keys: a repeated POST or PATCH has one effect and the same answer.

A request with `Idempotency-Key` runs in one transaction from its first read to its answer: the effect and the answer
are kept together or not at all, so no crash can leave one without the other. Only successes are kept: a refusal changed
nothing, so asking again is harmless. What is kept is sealed with a key made from the client's own Idempotency-Key, of
which only a digest is stored: an answer that carries a secret (an API key, shown once) cannot be read in the database.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

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
MOST = 255
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

    @property
    def request(self) -> bytes:
        """What tells another request under the same key."""
        return sha256(self.body).digest()

    def seal(self, answer: bytes) -> bytes:
        """Encrypt an answer; each (scope, key) has a key of its own and seals one answer, so the nonce is fixed."""
        return self._cipher().encrypt(b"\x00" * 12, answer, self.id)

    def unseal(self, sealed: bytes) -> bytes:
        """Return the answer that was sealed for this key."""
        return self._cipher().decrypt(b"\x00" * 12, sealed, self.id)

    def _cipher(self) -> AESGCM:
        return AESGCM(sha256(f"seal\n{self.scope}\n{self.key}".encode()).digest())


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Answers a repeated request from what was kept of the first."""

    sessions: Sessions
    row: type[IdempotencyRow]

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
        if kept.request != retry.request:
            raise KeyReused("this idempotency key was used for another request body")
        return _unpacked(retry.unseal(kept.answer))

    async def _keep(self, session: AsyncSession, retry: Retry, response: Response) -> None:
        said = {"request": retry.request, "answer": retry.seal(_packed(response))}
        keep, again = insert(self.row).values(id=retry.id, **said), said | {"made_at": func.now()}
        await session.execute(keep.on_conflict_do_update(index_elements=["id"], set_=again))


def _packed(response: Response) -> bytes:
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    body = b64encode(bytes(response.body)).decode()
    return json.dumps([response.status_code, kept, body]).encode()


def _unpacked(packed: bytes) -> Response:
    status, headers, body = json.loads(packed)
    return Response(b64decode(body), status, {**headers, "idempotent-replayed": "true"})
