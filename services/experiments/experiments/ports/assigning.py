"""What assigning asks of the world: phases, plans, layers, holdouts, and flags, which serves what is assigned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from experiments.domain.layers import Holdout, Layer, Slot
from experiments.domain.phases import Phase
from experiments.domain.planned import Planned
from experiments.domain.publication import Publication


class PhaseBook(Protocol):
    """The phases of every experiment."""

    async def open(self, phase: Phase) -> None:
        """Keep a phase that begins."""
        ...

    async def close(self, experiment: UUID, at: datetime) -> None:
        """Let the phase that goes on end."""
        ...

    async def of(self, experiment: UUID) -> Sequence[Phase]:
        """Return an experiment's phases in order."""
        ...


class PlanBook(Protocol):
    """The analysis plans of every experiment that has started."""

    async def add(self, planned: Planned) -> None:
        """Keep a plan under the next number, whatever its own."""
        ...

    async def of(self, experiment: UUID) -> Sequence[Planned]:
        """Return an experiment's plans in order: that of the start, then each change."""
        ...


class Publications(Protocol):
    """What flags has to know, one row an experiment."""

    async def put(self, publication: Publication) -> None:
        """Keep what is to be told now, instead of what was to be told before."""
        ...

    async def of(self, experiment: UUID) -> Publication | None:
        """Return what flags has to know of an experiment; None if it never had to know anything."""
        ...

    async def claim(self, now: datetime, until: datetime) -> Publication | None:
        """Return something that is due and that nobody else will take before `until`; None if nothing is."""
        ...

    async def sent(self, publication: Publication, at: datetime) -> None:
        """Note that flags has taken it; what was written since stays due."""
        ...

    async def failed(self, publication: Publication, trouble: str, again: datetime) -> None:
        """Note why flags has not taken it (empty: it was away), and when to try again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedNamed:
    """Which layers or holdouts of a tenant are wanted. `sort` as for experiments."""

    ask: PageAsk
    search: str = ""
    sort: str = "key"


class LayerBook(Protocol):
    """The layers of every tenant."""

    async def find(self, tenant: UUID, name: str) -> Layer | None:
        """Return the layer with this id or key; None if there is none."""
        ...

    async def take(self, tenant: UUID, name: str) -> Layer | None:
        """Return the layer with this id or key, locked until the work ends; None if there is none."""
        ...

    async def page(self, tenant: UUID, wanted: WantedNamed) -> Slice[Layer]:
        """Return a part of a tenant's layers."""
        ...

    async def add(self, layer: Layer) -> None:
        """Keep a new layer; LayerKeyTaken if the tenant has one with its key."""
        ...

    async def put(self, layer: Layer) -> None:
        """Keep a locked layer as it is now."""
        ...

    async def remove(self, layer: Layer) -> None:
        """Forget a locked layer."""
        ...

    async def slots(self, layer: UUID, now: datetime) -> Sequence[tuple[str, Slot]]:
        """Return which experiments (by key) that are not over at `now` have which places, in order of places."""
        ...

    async def named_by(self, layer: UUID) -> Sequence[str]:
        """Return the keys of all experiments that name a layer, those that are over too."""
        ...


class HoldoutBook(Protocol):
    """The holdouts of every tenant."""

    async def find(self, tenant: UUID, name: str) -> Holdout | None:
        """Return the holdout with this id or key; None if there is none."""
        ...

    async def take(self, tenant: UUID, name: str) -> Holdout | None:
        """Return the holdout with this id or key, locked until the work ends; None if there is none."""
        ...

    async def page(self, tenant: UUID, wanted: WantedNamed) -> Slice[Holdout]:
        """Return a part of a tenant's holdouts."""
        ...

    async def all(self, tenant: UUID) -> Sequence[Holdout]:
        """Return every holdout of a tenant."""
        ...

    async def add(self, holdout: Holdout) -> None:
        """Keep a new holdout; HoldoutKeyTaken if the tenant has one with its key."""
        ...

    async def put(self, holdout: Holdout) -> None:
        """Keep a locked holdout as it is now."""
        ...

    async def remove(self, holdout: Holdout) -> None:
        """Forget a locked holdout."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What flags says to what it is told: whether the flag is enabled there, and whether it was made for this."""

    version: int
    enabled: bool
    made: bool


class FlagsDoor(Protocol):
    """The flags service. Unavailable while it is away; any other fault says why it refuses."""

    async def check(self, tenant: UUID, experiment: UUID, document: Mapping[str, Any]) -> Taken:
        """Ask whether flags could serve what an experiment wants; nothing is changed."""
        ...

    async def put(self, publication: Publication) -> Taken:
        """Tell flags what an experiment wants; it may be told again."""
        ...
