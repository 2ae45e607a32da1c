"""Revisions: what a flag was after each change, who made it, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from flags.domain.flag import SERVED, TARGETING, Change, Flag, Lifecycle, Switch
from flags.domain.ruleset import Stored
from flags.domain.wrong import escaped

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A flag as one change left it. `number` is the flag's version from then on."""

    flag_id: UUID
    number: int
    at: datetime
    actor_type: str
    actor_id: str
    actor_name: str
    action: str
    reason: str
    document: Document


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two revisions differ; what is not there is None."""

    pointer: str
    before: Any
    after: Any


def differences(before: Any, after: Any, at: str = "") -> Iterator[Difference]:  # noqa: ANN401 - JSON is anything
    """Yield where two documents differ, as deep as they have the same form."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names: list[str] = sorted({*before, *after})  # type: ignore[reportUnknownArgumentType]
        for name in names:
            yield from differences(before.get(name), after.get(name), f"{at}/{escaped(name)}")  # type: ignore[reportUnknownArgumentType]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):  # type: ignore[reportUnknownArgumentType]
        for index, (old, new) in enumerate(zip(before, after, strict=True)):  # type: ignore[reportUnknownArgumentType]
            yield from differences(old, new, f"{at}/{index}")
    elif before != after or type(before) is not type(after):  # type: ignore[reportUnknownArgumentType]
        yield Difference(at, before, after)


def reverted(flag: Flag, document: Document, now: datetime) -> Flag:
    """Return the flag as a revision had it, in every environment that both know; itself if nothing differs."""
    fields = {
        "name": document["name"],
        "description": document["description"],
        "variants": document["variants"],
        "tags": tuple(document["tags"]),
        "lifecycle": Lifecycle(document["lifecycle"]),
        "client_side": document["client_side"],
        "schema": document.get("json_schema"),
    }
    places = {k: _switch(s) for k, s in document["environments"].items() if k in flag.switches}
    switches = {
        key: _turned(switch, places[key]) if key in places else switch
        for key, switch in flag.switches.items()
    }
    some = next(iter(flag.switches))
    return replace(flag, switches=switches).changed(some, now, Change(flag=fields), since=flag)


def _turned(now: Switch, then: Mapping[str, Any]) -> Switch:
    after = replace(now, **then)
    return now if after == now else replace(after, version=now.version + 1)


def _switch(said: Document) -> dict[str, Any]:
    return {
        "enabled": said["status"] == "enabled",
        "default_variant": said["default_variant"],
        "off_variant": said["off_variant"],
        **{name: tuple(said.get(name, ())) for name in TARGETING},
    }


def stored_at(flag: Flag, document: Document, environment: str) -> Stored | None:
    """Return the flag as it was served in an environment at a revision; None where it was not."""
    said = document["environments"].get(environment)
    if said is None or document["lifecycle"] not in SERVED:
        return None
    return Stored(
        key=flag.key,
        type=flag.type.value,
        variants=dict(document["variants"]),
        enabled=said["status"] == "enabled",
        default_variant=said["default_variant"],
        off_variant=said["off_variant"],
        client_side=document["client_side"],
        targeting={name: said[name] for name in TARGETING if said.get(name)} or None,
        salt=flag.salt,
        bucketing=flag.bucketing,
    )


def stored_now(flag: Flag, environment: str) -> Stored:
    """Return a flag as the store would hand it to an evaluator."""
    switch = flag.switch(environment)
    return Stored(
        key=flag.key,
        type=flag.type.value,
        variants=dict(flag.variants),
        enabled=switch.enabled,
        default_variant=switch.default_variant,
        off_variant=switch.off_variant,
        client_side=flag.client_side,
        targeting=switch.targeting or None,
        salt=flag.salt,
        bucketing=flag.bucketing,
    )
