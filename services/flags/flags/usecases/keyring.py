"""API keys that outlive iam's absence: those that may evaluate, kept on disk by their digests.

A replica that starts while iam is away knows the keys that it knew before, for as long as iam's last word is not too
old. As soon as iam is heard again its word replaces all of that, revoked keys included. Management keys are not kept:
what they may do changes things, and that waits for iam anyway.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from authz.replica import ApiKey, Tenant
from chassis.authority import Authority

log = logging.getLogger(__name__)

REWRITE = (
    600.0  # seconds after which the same is written once more, to say that iam still stands by it
)

Recalled = tuple[list[ApiKey], list[str], float]


class KeyShelf(Protocol):
    """Where keys are kept."""

    def keep_keys(self, keys: Iterable[ApiKey], closed: Collection[str], heard: float) -> None:
        """Keep API keys and closed tenants, as iam told them at `heard`. OSError if that fails."""
        ...

    def recall_keys(self) -> Recalled | None:
        """Return what was kept; None if there is nothing that can be read."""
        ...


@dataclass(slots=True)
class Keyring:
    """The API keys of this replica. `heard` is iam's last word in the process before, in seconds since 1970."""

    authority: Authority
    shelf: KeyShelf | None
    usable_for: float
    clock: Callable[[], float] = time.time
    heard: float = 0.0
    _kept: int = -1
    _written: float = 0.0

    def recall(self) -> int:
        """Put the keys of the process before into force; return how many, 0 if they are too old to be believed."""
        found = self.shelf.recall_keys() if self.shelf else None
        if found is None or self.clock() - found[2] > self.usable_for:
            return 0
        keys, closed, self.heard = found
        state = self.authority.state
        state.keys.update({key.hash: key for key in keys})
        state.tenants.update({tenant: Tenant(tenant, "", False) for tenant in closed})
        return len(keys)

    def trouble(self) -> str:
        """Return what keeps every key from being known; empty if nothing does."""
        known = self.authority.usable or bool(self.authority.state.keys)
        return "" if known else "waiting for iam's first snapshot"

    def tend(self) -> None:
        """Keep what is new; let go of what iam has not confirmed for too long."""
        if self.authority.fresh:
            self.heard = self.clock()
            self._keep()
        elif self.clock() - self.heard > self.usable_for and self.authority.state.keys:
            log.error("iam has been away for too long: no API key is believed any more")
            self.authority.state.keys.clear()
            self.authority.generation += 1

    def _keep(self) -> None:
        same = self._kept == self.authority.generation
        if self.shelf is None or (same and self.heard - self._written < REWRITE):
            return
        generation, state = self.authority.generation, self.authority.state
        keys = [key for key in state.keys.values() if key.kind != "management"]
        closed = [tenant.id for tenant in state.tenants.values() if not tenant.active]
        try:
            self.shelf.keep_keys(keys, closed, self.heard)
            self._kept, self._written = generation, self.heard
        except OSError as full:
            log.warning("the API keys were not kept: %s", full)
