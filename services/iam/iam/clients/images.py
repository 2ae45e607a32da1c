"""Images, decoded and written anew by Pillow: what comes out was made by us, so nothing else can hide in it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

from PIL import Image, ImageOps

from iam.domain.avatar import SIDE, ImagesBusy, NotAnImage, TooManyPixels

FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
# An image of 25 million pixels takes 100 MB while it is open. JPEG is decoded smaller than it is, if it is large.
MOST_PIXELS = {"JPEG": 50_000_000}
MOST_OTHERWISE = 25_000_000
WAITING = 8


class PooledImages:
    """One image at a time, in a thread of its own, and a short queue: memory is bounded by that."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._waiting = 0

    async def avatar(self, sent: bytes) -> bytes:
        """Return what was sent as a small WebP image with nothing else in it; NotAnImage or TooManyPixels."""
        if self._waiting >= WAITING:
            raise ImagesBusy("too many images are being worked on", retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, avatar_of, sent)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Finish what is begun."""
        self._pool.shutdown()


def avatar_of(sent: bytes) -> bytes:
    """Return an image as WebP: upright, at most 512 pixels wide and high, its first frame, without metadata."""
    try:
        with Image.open(BytesIO(sent), formats=FORMATS) as image:
            _check_size(image)
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            return _written(image)
    except TooManyPixels:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        raise TooManyPixels("the image is too large to be opened") from bomb
    except Exception as broken:  # decoders fail in every way there is on what is broken
        raise NotAnImage("the file is no whole JPEG, PNG, GIF or WebP image") from broken


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    most = MOST_PIXELS.get(image.format or "", MOST_OTHERWISE)
    if width * height > most:
        raise TooManyPixels(f"the image has {width} x {height} pixels; {most} are taken at most")


def _written(image: Image.Image) -> bytes:
    drawn = image.convert("RGBA" if image.has_transparency_data else "RGB")
    drawn.thumbnail((SIDE, SIDE))
    drawn = ImageOps.exif_transpose(drawn)
    bare = Image.frombytes(drawn.mode, drawn.size, drawn.tobytes())
    out = BytesIO()
    bare.save(out, "WEBP", quality=85, method=4)
    return out.getvalue()
