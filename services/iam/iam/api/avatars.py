"""Avatars over REST: sent as a form with one file, shown to anybody who knows their name."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from chassis.errors import Unsupported
from chassis.http import Asking, Expected, anybody, doors, etag, given, public
from iam.api.gitops_bodies import DocumentView, document
from iam.domain.avatar import MOST_BYTES, AvatarTooLarge, BadUpload
from iam.domain.gitops import C, Collection, Ref
from iam.usecases.avatars import Avatars

Uses = Annotated[Avatars, given(Avatars)]
Id = Annotated[str, Path(alias="id", min_length=1, max_length=520, description="A key or a UUID")]
Name = Annotated[str, Path(min_length=1, max_length=100)]
AROUND = 64 << 10  # what a form has around its file
ONE = "send multipart/form-data with one part, which is a file"
_FORM: dict[str, Any] = {
    "x-body-limit": MOST_BYTES + AROUND,
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "string", "contentMediaType": "application/octet-stream"}
                    },
                    "required": ["file"],
                }
            }
        },
    },
}
_HEADERS = {
    "cache-control": "public, max-age=31536000, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "cross-origin",
    "content-disposition": "inline",
}


async def _sent(request: Request) -> bytes:
    """Return the one file of a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Unsupported(f"{ONE}, not {kind[:64] or 'a body without a content-type'}")
    try:
        parser = MultiPartParser(request.headers, _limited(request), max_files=1, max_fields=0)
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise BadUpload(ONE) from error
    try:
        found = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not found:
            raise BadUpload(ONE)
        data = await found[0].read()
    finally:
        await form.close()
    if len(data) > MOST_BYTES:
        raise AvatarTooLarge(f"an avatar has at most {MOST_BYTES} bytes")
    return data


async def _limited(request: Request) -> AsyncGenerator[bytes]:
    """Yield a body that is not too large. One that is, is read to its end: who still sends does not hear an answer."""
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length <= MOST_BYTES + AROUND:
            yield chunk
    if length > MOST_BYTES + AROUND:
        raise AvatarTooLarge(f"an avatar has at most {MOST_BYTES} bytes")


router = doors("", "avatars")
_SHAPE: dict[str, Any] = {"response_model": DocumentView, "response_model_exclude_unset": True}


def _upload_to(collection: Collection) -> None:
    path = f"/api/v1/global/{collection}/{{id}}/upload/avatar"

    async def ref(id_: Id, expected: Expected) -> Ref:
        return Ref(collection, id_, expected)

    async def upload(
        at: Annotated[Ref, Depends(ref)],
        caller: Asking,
        avatars: Uses,
        request: Request,
        response: Response,
    ) -> dict[str, Any]:
        """Send a picture: JPEG, PNG, GIF or WebP, 5 MiB at most. It is kept as WebP, 512 pixels wide or high."""
        seen = await avatars.upload(caller, at, await _sent(request))
        response.headers["etag"] = etag(seen.entity.etag)
        return document(seen)

    async def remove(at: Annotated[Ref, Depends(ref)], caller: Asking, avatars: Uses) -> None:
        """Remove the picture."""
        await avatars.remove(caller, at)

    noun = collection.value.removesuffix("s")
    router.post(path, operation_id=f"upload_{noun}_avatar", **_SHAPE, **anybody(**_FORM))(upload)
    router.delete(path, operation_id=f"remove_{noun}_avatar", status_code=204, **anybody())(remove)


for _collection in (C.USERS, C.GROUPS):
    _upload_to(_collection)


@router.get(
    "/static/avatars/{name}",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "You have it: what has this name never changes"},
    },
    **public(),
)
async def avatar(name: Name, request: Request, avatars: Uses) -> Response:
    """Return a picture. What has a name never changes."""
    data = await avatars.show(name)
    headers = {**_HEADERS, "etag": f'"{name.partition(".")[0]}"'}
    tags = {
        t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")
    }
    if tags & {headers["etag"], "*"}:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type="image/webp", headers=headers)
