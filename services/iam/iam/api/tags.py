"""Conditional answers: a view with its ETag, or 304 to who has that version."""

from typing import TypeVar

from fastapi import Request, Response

from chassis.http import etag, tagged

V = TypeVar("V")


def shown(request: Request, response: Response, version: int, view: V) -> V | Response:
    """Return a view with the ETag of its version; nothing but that to who has it already."""
    if tagged(response, request, version):
        return Response(status_code=304, headers={"etag": etag(version)})
    return view
