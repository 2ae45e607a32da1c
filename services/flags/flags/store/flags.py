"""Flags in PostgreSQL."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    Update,
    bindparam,
    delete,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Position, Slice, cut
from flags.domain.errors import FlagKeyTaken
from flags.domain.flag import SERVED, TARGETING, Documents, Flag, Lifecycle, Switch
from flags.domain.listing import Order, SortField, Wanted
from flags.domain.place import Project
from flags.domain.reading import targeting_of
from flags.domain.uses import NOTHING, Uses, used_by
from flags.domain.values import FlagType
from flags.domain.wrong import Wrong, listed
from flags.store.tables import FlagRow, SwitchRow, named

_SORTED: dict[SortField, ColumnElement[Any]] = {
    "key": FlagRow.key.collate("C"),
    "name": FlagRow.name.collate("C"),
    "created_at": FlagRow.created_at.expression,
    "updated_at": FlagRow.updated_at.expression,
}


class SqlFlagBook:
    """The flag book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, project: Project, name: str, *, lock: bool = False) -> Flag | None:
        """Return a flag by id or key; with `lock`, nobody else changes it until the work ends."""
        query = select(FlagRow).where(FlagRow.project_id == project.id, named(FlagRow, name))
        if lock:
            query = query.with_for_update().execution_options(populate_existing=True)
        rows = (await self._session.scalars(query)).all()
        return next(iter(await self._whole(project, rows)), None)

    async def add(self, project: Project, flag: Flag) -> None:
        """Keep a new flag; FlagKeyTaken if its project has one with its key."""
        try:
            await self._session.execute(insert(FlagRow).values(**_row(flag)))
        except IntegrityError as clash:
            if "flag_key" not in str(clash.orig):
                raise
            raise FlagKeyTaken(
                f"there is a flag {flag.key!r} in project {flag.project!r} already"
            ) from clash
        await self._put_switches(project, flag)

    async def put(self, project: Project, flag: Flag) -> None:
        """Keep the flag as it now stands."""
        await self._session.execute(_PUT, {"the_id": flag.id, **_row(flag)})
        await self._put_switches(project, flag)

    async def remove(self, flag: Flag) -> None:
        """Forget the flag."""
        await self._session.execute(
            delete(FlagRow)
            .where(FlagRow.id == flag.id)
            .execution_options(synchronize_session=False)
        )

    async def page(self, project: Project, wanted: Wanted, ask: PageAsk) -> Slice[Flag]:
        """Return the part of a project's flags that is asked for."""
        query = _filtered(select(FlagRow), project, wanted)
        counted = _filtered(select(func.count(FlagRow.id)), project, wanted)
        part = _ordered(query, wanted.order, ask.after).offset(ask.offset).limit(ask.limit + 1)
        rows = (await self._session.scalars(part)).all()
        items, after = cut(rows, ask.limit, lambda row: _position(row, wanted.order.field))
        total = await self._session.scalar(counted)
        return Slice(items=await self._whole(project, items), next=after, total=total)

    async def every(self, project: Project, most: int) -> Sequence[Flag]:
        """Return all flags of a project by key, at most so many."""
        query = select(FlagRow).where(FlagRow.project_id == project.id)
        rows = (
            await self._session.scalars(query.order_by(FlagRow.key.collate("C")).limit(most))
        ).all()
        return await self._whole(project, rows)

    async def served(self, project: Project, owner: str | None) -> Sequence[Flag]:
        """Return every flag that is served, by key: all of a project, or those of one owner."""
        query = select(FlagRow).where(
            FlagRow.project_id == project.id, FlagRow.lifecycle.in_(SERVED)
        )
        if owner is not None:
            query = query.where(FlagRow.owner_id == owner)
        rows = (await self._session.scalars(query.order_by(FlagRow.key.collate("C")))).all()
        return await self._whole(project, rows)

    async def _put_switches(self, project: Project, flag: Flag) -> None:
        rows = [
            _switch_row(flag, project.environment(key).id, switch)
            for key, switch in flag.switches.items()
        ]
        await self._session.execute(_PUT_SWITCHES, rows)

    async def _whole(self, project: Project, rows: Sequence[FlagRow]) -> list[Flag]:
        """Return flags with their switches, in one more query for all of them."""
        query = select(SwitchRow).where(SwitchRow.flag_id.in_([row.id for row in rows]))
        query = query.execution_options(populate_existing=True)
        keys = {environment.id: environment.key for environment in project.environments}
        found: defaultdict[UUID, dict[str, Switch]] = defaultdict(dict)
        for row in await self._session.scalars(query) if rows else ():
            found[row.flag_id][keys[row.environment_id]] = _switch(row)
        return [whole_of(project, row, found[row.id]) for row in rows]


def _filtered(query: Select[Any], project: Project, wanted: Wanted) -> Select[Any]:
    query = query.where(FlagRow.project_id == project.id)
    for column, value in (
        (FlagRow.type, wanted.type),
        (FlagRow.lifecycle, wanted.lifecycle),
        (FlagRow.owner_id, wanted.owner_id),
    ):
        if value is not None:
            query = query.where(column == str(value))
    if wanted.tag is not None:
        query = query.where(FlagRow.tags.contains([wanted.tag]))
    if wanted.search:
        query = query.where(_containing(wanted.search))
    if wanted.enabled is not None:
        query = _switched(query, project.environment(wanted.environment).id, enabled=wanted.enabled)
    return query


def _containing(text: str) -> ColumnElement[bool]:
    columns = (FlagRow.key, FlagRow.name, FlagRow.description)
    return or_(*(column.icontains(text, autoescape=True) for column in columns))


def _switched(query: Select[Any], environment_id: UUID, *, enabled: bool) -> Select[Any]:
    return query.join(SwitchRow, SwitchRow.flag_id == FlagRow.id).where(
        SwitchRow.environment_id == environment_id, SwitchRow.enabled == enabled
    )


def _ordered(query: Select[Any], order: Order, after: Position | None) -> Select[Any]:
    column, place = _SORTED[order.field], tuple_(_SORTED[order.field], FlagRow.id)
    if after is not None:
        last = tuple_(_read(order.field, after[0]), UUID(after[1]))
        query = query.where(place < last if order.descending else place > last)
    if order.descending:
        return query.order_by(column.desc(), FlagRow.id.desc())
    return query.order_by(column, FlagRow.id)


def _position(row: FlagRow, field: SortField) -> Position:
    value = getattr(row, field)
    return (value.isoformat() if isinstance(value, datetime) else value, str(row.id))


def _read(field: SortField, said: str) -> object:
    return datetime.fromisoformat(said) if field.endswith("_at") else said


_FLAG_FIELDS = (
    "id",
    "tenant",
    "project_id",
    "key",
    "name",
    "description",
    "owner_id",
    "client_side",
    "schema",
    "salt",
    "bucketing",
    "version",
    "created_at",
    "updated_at",
)
_SWITCH_FIELDS = ("enabled", "default_variant", "off_variant", "version")
_USES = ("uses_flags", "uses_segments")
_NO_SWITCH: Mapping[str, Switch] = {}


def _putting_flag() -> Update:
    flag: Any = FlagRow.__table__
    fields = (*_FLAG_FIELDS, "type", "lifecycle", "variants", "tags")
    values: dict[str, Any] = {name: bindparam(name) for name in fields}
    return update(flag).where(flag.c.id == bindparam("the_id")).values(values)


def _putting_switches() -> Insert:
    claim: Insert = insert(SwitchRow.__table__)  # type: ignore[reportArgumentType]
    kept = (*_SWITCH_FIELDS, "targeting", *_USES)
    put = {name: claim.excluded[name] for name in kept}
    return claim.on_conflict_do_update(index_elements=["flag_id", "environment_id"], set_=put)


# Made once: what SQLAlchemy takes to build these two is more than what it takes to run them.
_PUT, _PUT_SWITCHES = _putting_flag(), _putting_switches()


def _row(flag: Flag) -> dict[str, object]:
    return {
        **{field: getattr(flag, field) for field in _FLAG_FIELDS},
        "type": flag.type.value,
        "lifecycle": flag.lifecycle.value,
        "variants": dict(flag.variants),
        "tags": list(flag.tags),
    }


def _switch_row(flag: Flag, environment_id: UUID, switch: Switch) -> dict[str, object]:
    said = {field: getattr(switch, field) for field in _SWITCH_FIELDS}
    targeting = switch.targeting
    uses = _uses(targeting)
    return {
        "flag_id": flag.id,
        "environment_id": environment_id,
        "targeting": targeting or None,
        "uses_flags": sorted(uses.flags),
        "uses_segments": sorted(uses.segments),
        **said,
    }


def _switch(row: SwitchRow) -> Switch:
    return Switch(
        enabled=row.enabled,
        default_variant=row.default_variant,
        off_variant=row.off_variant,
        **_parts(row.targeting),
        version=row.version,
    )


def _uses(targeting: dict[str, Any]) -> Uses:
    try:
        return used_by(targeting_of(targeting))
    except Wrong:  # spoilt by a hand or by a newer version: it can still be switched off
        return NOTHING


def _parts(targeting: Any) -> dict[str, Documents]:  # noqa: ANN401 - whatever lies in the store
    """Return the parts of a targeting that can be shown: what a hand has spoilt is shown as if it were not there."""
    if not isinstance(targeting, dict):
        return {}
    parts = {name: listed(targeting.get(name)) for name in TARGETING}  # type: ignore[reportUnknownMemberType]
    return {
        name: tuple(part for part in found if isinstance(part, dict))  # type: ignore[reportUnknownArgumentType]
        for name, found in parts.items()
    }


def whole_of(project: Project, row: FlagRow, switches: Mapping[str, Switch] = _NO_SWITCH) -> Flag:
    """Return the flag of a row, with the switches that are given."""
    order = [e.key for e in project.environments if e.key in switches]
    return Flag(
        id=row.id,
        tenant=row.tenant,
        project_id=row.project_id,
        project=project.key,
        key=row.key,
        name=row.name,
        description=row.description,
        type=FlagType(row.type),
        variants=row.variants,
        switches={key: switches[key] for key in order},
        owner_id=row.owner_id,
        tags=tuple(row.tags),
        lifecycle=Lifecycle(row.lifecycle),
        client_side=row.client_side,
        schema=row.schema,
        salt=row.salt,
        bucketing=row.bucketing,
        version=row.version,
        created_at=row.created_at.astimezone(UTC),
        updated_at=row.updated_at.astimezone(UTC),
    )
