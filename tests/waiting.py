"""Waiting for a condition, never for a time."""

import asyncio
import contextlib
import inspect
import time

import httpx


async def until(ask, seconds=10.0, what=""):
    """Ask until the answer is truthy, and return it; who was just killed or is not yet there need not answer."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.HTTPError):
            found = ask()
            if found := (await found if inspect.isawaitable(found) else found):
                return found
        if time.monotonic() > end:
            raise AssertionError(f"{what or getattr(ask, '__name__', ask)}: not within {seconds} s")
        await asyncio.sleep(0.03)
