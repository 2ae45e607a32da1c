"""What may be asked of a list of entries, and that nothing else is."""

import inspect
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from audit.domain.errors import UnknownParameter
from audit.domain.wanted import Wanted
from chassis.errors import FieldError
from chassis.http import in_utc
from chassis.reading import queried

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:@/+=~-]*$"
_KIND = r"^[a-z][a-z0-9_-]*$"
_ACTION = r"^([a-z][a-z0-9_]*\.)?[a-z][a-z0-9_]*$"
_PLAIN = r"^[^\x00-\x1f]*$"


def _spelled(value: object) -> object:
    """Refuse a bare number, which pydantic would take for seconds since 1970."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("is not an RFC 3339 time such as 2026-01-31T12:00:00Z")
    return value


Name = Annotated[str, Query(max_length=255, pattern=_NAME)]
Kind = Annotated[str, Query(max_length=63, pattern=_KIND)]
Action = Annotated[str, Query(max_length=127, pattern=_ACTION)]
Words = Annotated[str, Query(max_length=200, pattern=_PLAIN)]
When = Annotated[AwareDatetime, BeforeValidator(_spelled), AfterValidator(in_utc), Query()]


async def _only_known(request: Request) -> None:
    """Refuse a parameter that is not in the operation."""
    known = queried(request.scope["route"].dependant)
    sent = [name for name, _ in request.query_params.multi_items()]
    for name in sent:
        if name not in known:
            wrong = FieldError(f"query:{name[:64]}", "is not a parameter of this list", "unknown")
            names = ", ".join(sorted(known))
            text = f"unknown query parameter {name[:64]!r}; known are {names}"
            raise UnknownParameter(text, errors=(wrong,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of the list, as a client spells them."""

    user_id: Name | None = None
    entity_id: Name | None = None
    entity_type: Kind | None = None
    action_type: Action | None = None
    from_date: When | None = None
    to_date: When | None = None
    outcome: Literal["success", "denied", "failed"] | None = None
    q: Words | None = None
    tenant_id: UUID | None = None

    def wanted(self) -> Wanted:
        """Return the question."""
        return Wanted(
            user_id=self.user_id or "",
            entity_id=self.entity_id or "",
            entity_type=self.entity_type or "",
            action_type=self.action_type or "",
            from_date=self.from_date,
            to_date=self.to_date,
            outcome=self.outcome or "",
            q=self.q or "",
            tenant=self.tenant_id,
        )


async def _filters(**asked: Any) -> Filters:  # noqa: ANN401 - FastAPI has checked them by the signature
    return Filters(**asked)


# The class itself would do, but FastAPI runs what is no coroutine in a thread of its pool.
_filters.__signature__ = inspect.signature(Filters)  # type: ignore[reportFunctionMemberAccess]

Asked = Annotated[Filters, Depends(_filters)]
KNOWN = [Depends(_only_known)]
