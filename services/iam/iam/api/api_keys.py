"""API keys over REST."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Path, Request, Response
from pydantic import Field

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Instant,
    Page,
    Paging,
    View,
    anybody,
    doors,
    etag,
    given,
)
from iam.api.fields import Name, Scope, Slug
from iam.api.tags import shown
from iam.api.tokens import private
from iam.domain.api_key import ApiKey
from iam.usecases.api_keys import Keys, NewKey

router = doors("/api/v1/api-keys", "api-keys")
Uses = Annotated[Keys, given(Keys)]
KeyId = Annotated[UUID, Path(description="The key's UUID; not a part of its text")]
AccountName = Annotated[
    str,
    Field(
        pattern=r"^((sa|pa)_[A-Za-z0-9._-]{1,63}|[0-9a-fA-F-]{36})$",
        description="The key (`sa_ci`, `pa_build`) or UUID of an account that you may change",
    ),
]
DAY = 86_400


class KeyBody(Body):
    """A new key. With a name alone it is a server-side key that may evaluate in production.

    With an `account` it acts for that service or pipeline account: within the account's roles and ACL entries, and
    within its `scopes`, which without a word are what you hold yourself. Such a key is a management key.
    """

    name: Name
    kind: Literal["server", "client", "management"] = "server"
    environment: Slug = "production"
    project: Slug = "default"
    scopes: Annotated[list[Scope], Field(max_length=200)] | None = None
    expires_at: Instant | None = None
    account: AccountName | None = None

    def new(self) -> NewKey:
        """Return the key that is asked for."""
        return NewKey(
            name=self.name,
            kind="management"
            if self.account and "kind" not in self.model_fields_set
            else self.kind,
            environment=self.environment,
            project=self.project,
            scopes=self.scopes,
            expires_at=self.expires_at,
            account=self.account or "",
        )


class RotateBody(Body):
    """For how many seconds the text before still holds."""

    overlap_seconds: Annotated[int, Field(ge=0, le=30 * DAY)] = DAY


class VersionView(View):
    """One text of a key: its public beginning, and how long it holds."""

    prefix: str
    created_at: datetime
    expires_at: datetime | None


class KeyView(View):
    """A key, without its text. `last_used_at` is right to a minute; null means not since it was made.

    `owner_id` is the user or the account that made it, or for which it acts.
    """

    id: UUID
    name: str
    kind: str
    environment: str
    project: str
    scopes: list[str]
    owner_id: UUID
    tenant_id: UUID
    prefix: str
    versions: list[VersionView]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    version: int


class KeyPage(Page[KeyView]):
    """A part of a list of API keys: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class NewKeyView(KeyView):
    """A key with its text, which is shown this once."""

    key: str


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        "environment": key.environment,
        "project": key.project,
        "scopes": sorted(key.scopes),
        "owner_id": key.owner,
        "tenant_id": key.tenant,
        "prefix": key.versions[-1].prefix,
        "versions": [VersionView.model_validate(version) for version in key.versions],
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "version": key.version,
    }


def view(key: ApiKey) -> KeyView:
    """Return a key as clients see it."""
    return KeyView(**_fields(key))


def _shown(key: ApiKey, text: str, response: Response) -> NewKeyView:
    private(response)
    response.headers["etag"] = etag(key.version)
    response.headers["location"] = f"/api/v1/api-keys/{key.id}"
    return NewKeyView(**_fields(key), key=text)


@router.get("", response_model=KeyPage, response_model_exclude_unset=True, **anybody())
async def list_keys(caller: Asking, keys: Uses, pager: Paging) -> dict[str, Any]:
    """List your keys; with `api_key:read`, all of your tenant."""
    return pager.render(await keys.list(caller, pager.ask), view)


@router.post("", status_code=201, **anybody())
async def create(body: KeyBody, caller: Asking, keys: Uses, response: Response) -> NewKeyView:
    """Make a key. Its text is in this answer and nowhere else. It can do no more than you can."""
    return _shown(*await keys.create(caller, body.new()), response)


@router.get("/{key_id}", response_model=KeyView, responses=TAGGED, **anybody())
async def get(
    key_id: KeyId, caller: Asking, keys: Uses, request: Request, response: Response
) -> KeyView | Response:
    """Return one key, without its text."""
    key = await keys.get(caller, key_id)
    return shown(request, response, key.version, view(key))


@router.post("/{key_id}/rotate", **anybody())
async def rotate(
    key_id: KeyId, caller: Asking, keys: Uses, response: Response, body: RotateBody | None = None
) -> NewKeyView:
    """Give a key a new text; the one before holds for a day yet, or as long as you say."""
    overlap = timedelta(seconds=(body or RotateBody()).overlap_seconds)
    return _shown(*await keys.rotate(caller, key_id, overlap), response)


@router.delete("/{key_id}", status_code=204, **anybody())
async def revoke(key_id: KeyId, caller: Asking, keys: Uses, expected: Expected) -> None:
    """Revoke a key: every text of it stops to work everywhere at once."""
    await keys.revoke(caller, key_id, expected)
