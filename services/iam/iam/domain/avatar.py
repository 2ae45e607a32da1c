"""Pictures of users and groups: how they are named, and every way in which one is refused."""

import re
from hashlib import sha256
from uuid import UUID

from chassis.errors import Invalid, NotFound, TooLarge, TooMany, Unavailable

MOST_BYTES = 5 << 20
SIDE = 512
_NAME = re.compile(r"[0-9a-f]{64}\.webp")


class AvatarTooLarge(TooLarge):
    """The image has more than 5 MiB."""

    code = "iam.avatar_too_large"


class BadUpload(Invalid):
    """An avatar is sent as multipart/form-data with one part, which is a file."""

    code = "iam.bad_upload"


class NotAnImage(Invalid):
    """The file is no whole JPEG, PNG, GIF or WebP image."""

    code = "iam.avatar_not_an_image"


class TooManyPixels(Invalid):
    """The image is too wide and high to be opened here, however few bytes it has."""

    code = "iam.avatar_too_many_pixels"


class ImagesBusy(TooMany):
    """Too many images are being worked on; send it again."""

    code = "iam.avatar_busy"


class StorageAway(Unavailable):
    """The storage for avatars does not answer."""

    code = "iam.storage_unavailable"


class NoSuchFile(NotFound):
    """There is no such file."""

    code = "iam.no_such_file"


def name_of(owner: UUID, image: bytes) -> str:
    """Return the name of a picture: by its content, and by whose it is, so that nobody else's goes when it does."""
    return f"{sha256(owner.bytes + image).hexdigest()}.webp"


def is_name(name: str) -> bool:
    """Tell whether a picture can be called so."""
    return _NAME.fullmatch(name) is not None


def path_of(name: str) -> str | None:
    """Return where the world finds a picture; None where there is none."""
    return f"/static/avatars/{name}" if name else None
