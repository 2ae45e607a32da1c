"""What /global keeps, over REST: one set of doors for all collections."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import orjson
from fastapi import Depends, Path, Query, Request, Response

from chassis.http import TAGGED, Asking, Expected, Pager, Paging, anybody, doors, etag, given
from chassis.pages import PageAsk, Slice
from iam.api.gitops_bodies import (
    DocumentBody,
    DocumentView,
    brief,
    document,
    key_of,
    super_brief,
    super_document,
)
from iam.api.tags import shown
from iam.domain.errors import TooManyRows
from iam.domain.gitops import C, Collection, Entity, Ref
from iam.domain.gitops_errors import NoSuchCollection
from iam.usecases.gitops import Gitops, Seen
from iam.usecases.gitops_supers import Supers

MOST = 10_000

router = doors("/api/v1/global", "gitops")
Uses = Annotated[Gitops, given(Gitops)]
Giving = Annotated[Supers, given(Supers)]
Kind = Annotated[str, Path(max_length=40, description=", ".join(Collection))]
Id = Annotated[str, Path(alias="id", min_length=1, max_length=520, description="A key or a UUID")]
Search = Annotated[str, Query(max_length=200, description="A part of the key")]
Document = dict[str, Any]
_SHAPE: dict[str, Any] = {"response_model": DocumentView, "response_model_exclude_unset": True}


async def _collection(kind: Kind) -> Collection:
    if kind not in list(Collection):
        raise NoSuchCollection(f"there is no collection {kind!r}: {', '.join(Collection)}")
    return Collection(kind)


Of = Annotated[Collection, Depends(_collection)]


async def _ref(collection: Of, id_: Id, expected: Expected) -> Ref:
    return Ref(collection, id_, expected)


At = Annotated[Ref, Depends(_ref)]


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of a list is wanted; without `limit` all of it."""

    pager: Pager
    search: str
    all: bool

    @property
    def ask(self) -> PageAsk:
        """How much the use-case shall look for."""
        return PageAsk(limit=MOST) if self.all else self.pager.ask

    def render(self, part: Slice[Seen]) -> Document:
        """Return the list in the form that was asked for."""
        if not self.all:
            return replace(self.pager, by_cursor=True).render(part, brief)
        if part.next is not None:
            raise TooManyRows(f"there are more than {MOST}; ask with limit and cursor")
        return {"items": [brief(seen) for seen in part.items]}


async def _part(pager: Paging, request: Request, search: Search = "") -> Asked:
    return Asked(pager, search, not {"limit", "cursor", "page"} & set(request.query_params))


Part = Annotated[Asked, Depends(_part)]


@router.get("/{kind}", response_model=Document, **anybody())
async def list_documents(
    collection: Of, caller: Asking, gitops: Uses, supers: Giving, asked: Part
) -> Response:
    """List what you may list: all of it, or with `limit` a part of it and the cursor of the next."""
    if collection is C.PERMISSIONS:
        return _json({"items": [super_brief(entity) for entity in await supers.list(caller)]})
    part = await gitops.list(caller, collection, asked.search, asked.ask)
    return _json(asked.render(part))


@router.post("/{kind}", status_code=201, **_SHAPE, **anybody())
async def create_document(
    collection: Of,
    body: DocumentBody,
    caller: Asking,
    gitops: Uses,
    supers: Giving,
    response: Response,
) -> Document:
    """Make a thing. You get an ACL entry that lets you do everything with it."""
    if collection is C.PERMISSIONS:
        return _super(response, await supers.create(caller, body.draft()))
    seen = await gitops.create(caller, collection, body.draft())
    response.headers["location"] = f"/api/v1/global/{collection}/{key_of(seen)}"
    return _told(response, seen)


@router.get("/{kind}/{id}", **_SHAPE, responses=TAGGED, **anybody())
async def get_document(
    ref: At, caller: Asking, gitops: Uses, supers: Giving, request: Request, response: Response
) -> Document | Response:
    """Return one thing."""
    if ref.collection is C.PERMISSIONS:
        told = _super(response, await supers.get(caller, ref))
    else:
        told = _told(response, await gitops.get(caller, ref))
    return shown(request, response, int(response.headers["etag"].strip('"')), told)


@router.post("/{kind}/{id}", **_SHAPE, **anybody())
async def upsert_document(
    ref: At, body: DocumentBody, caller: Asking, gitops: Uses, supers: Giving, response: Response
) -> Document:
    """Make a thing, or change of it what you send."""
    if ref.collection is C.PERMISSIONS:
        return _super(response, await supers.write(caller, ref, body.draft(), whole=False))
    return _told(response, await gitops.upsert(caller, ref, body.draft()))


@router.put("/{kind}/{id}", **_SHAPE, **anybody())
async def replace_document(
    ref: At, body: DocumentBody, caller: Asking, gitops: Uses, supers: Giving, response: Response
) -> Document:
    """Write a thing anew; with an old `hash_code` it is a 409. The ACL, the address and the password of a user, and
    whether they may log in, stay unless you send them.
    """
    if ref.collection is C.PERMISSIONS:
        return _super(response, await supers.write(caller, ref, body.draft(), whole=True))
    return _told(response, await gitops.replace(caller, ref, body.draft()))


@router.delete("/{kind}/{id}", status_code=204, **anybody())
async def delete_document(ref: At, caller: Asking, gitops: Uses, supers: Giving) -> None:
    """Delete a thing and its memberships. Of a permission: take it from all who hold it."""
    await (supers if ref.collection is C.PERMISSIONS else gitops).delete(caller, ref)


def _told(response: Response, seen: Seen) -> Document:
    response.headers["etag"] = etag(seen.entity.etag)
    return document(seen)


def _super(response: Response, entity: Entity) -> Document:
    response.headers["etag"] = etag(entity.etag)
    return super_document(entity)


def _json(document: Document) -> Response:
    """Answer a document as it is: a model of it would be checked and copied, fifty times a page."""
    return Response(orjson.dumps(document), media_type="application/json")
