"""Machines in PostgreSQL."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice
from compute.domain.errors import ChangedMeanwhile
from compute.domain.order import SourceType
from compute.domain.vm import SHOWN, Status, Step, Vm, Wish
from compute.ports import Wanted
from compute.store.lists import Listing
from compute.store.tables import VmRow

_SAME = (
    "id", "tenant", "number", "name", "owner_id", "template_id", "template_name", "iso_url", "user_data",
    "cpu", "memory_gb", "disk_gb", "ip_address", "trouble", "version", "created_at", "updated_at",
    "generation", "restart_at", "reset_at", "settled", "operation_id", "host", "step_since", "made", "attempts",
    "crashes", "due_at", "iso_sha256", "medium",
)  # fmt: skip
_NAMES = (*_SAME, "source_type", "wish", "step", "ssh_keys", "labels")
# Built once: to name thirty columns takes longer than to read fifty machines. Not rows, of which a session keeps track.
_READ: Any = select(*(getattr(VmRow, name) for name in _NAMES))
_LISTING = Listing(
    VmRow,
    {
        "created_at": VmRow.created_at,
        "updated_at": VmRow.updated_at,
        "name": VmRow.name.collate("C"),
        "number": VmRow.number,
    },
    _READ,
)


class SqlVmBook:
    """The machines over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, vm_id: UUID) -> Vm | None:
        """Return the machine; None if there is none."""
        return await self._one(_named(tenant, vm_id))

    async def take(self, tenant: UUID, vm_id: UUID) -> Vm | None:
        """Return the machine, locked until the work ends; None if there is none."""
        return await self._one(_named(tenant, vm_id), locked=True)

    async def take_any(self, vm_id: UUID) -> Vm | None:
        """Return the machine of whichever tenant, locked until the work ends; None if there is none."""
        return await self._one(VmRow.id == vm_id, locked=True)

    async def _one(self, which: ColumnElement[bool], *, locked: bool = False) -> Vm | None:
        query = _READ.where(which)
        found = await self._session.execute(query.with_for_update() if locked else query)
        row = found.one_or_none()
        return _vm_of(row) if row else None

    async def on_host(self, host: str) -> Sequence[Vm]:
        """Return the machines of all tenants that are on a host, and those that are on none yet."""
        here = or_(VmRow.host == host, VmRow.host.is_(None))
        return [_vm_of(row) for row in await self._session.execute(_READ.where(here))]

    async def known(self, vms: Sequence[UUID]) -> Collection[UUID]:
        """Return which of these machines there are, in whichever tenant and on whichever host."""
        return set(await self._session.scalars(select(VmRow.id).where(VmRow.id.in_(vms))))

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Vm]:
        """Return a part of a tenant's machines."""
        rows, after, total = await _LISTING.part(self._session, _which(tenant, wanted), wanted)
        return Slice(items=[_vm_of(row) for row in rows], next=after, total=total)

    async def add(self, vm: Vm) -> None:
        """Keep a new machine."""
        await self._session.execute(insert(VmRow).values(**_columns(vm)))

    async def put(self, before: Vm, after: Vm) -> None:
        """Keep a machine as it is now; ChangedMeanwhile if it is no longer as it was before."""
        same = and_(VmRow.id == before.id, VmRow.version == before.version)
        change = update(VmRow).where(same).values(**_columns(after)).returning(VmRow.id)
        if await self._session.scalar(change) is None:
            raise ChangedMeanwhile(f"machine {before.name!r} was changed meanwhile; try again")

    async def remove(self, vm: Vm) -> None:
        """Forget a machine."""
        await self._session.execute(delete(VmRow).where(VmRow.id == vm.id))


def _named(tenant: UUID, vm_id: UUID) -> ColumnElement[bool]:
    return and_(VmRow.tenant == tenant, VmRow.id == vm_id)


def _which(tenant: UUID, wanted: Wanted) -> ColumnElement[bool]:
    which: list[ColumnElement[bool]] = [VmRow.tenant == tenant]
    if wanted.search:
        fields = (VmRow.name, VmRow.template_name, VmRow.ip_address)
        which.append(or_(*(f.icontains(wanted.search, autoescape=True) for f in fields)))
    if wanted.owner_id is not None:
        which.append(VmRow.owner_id == wanted.owner_id)
    if wanted.status is Status.ERROR:
        which.append(VmRow.trouble.is_not(None))
    elif wanted.status:
        pairs = [
            (wish.value, step.value) for (wish, step), it in SHOWN.items() if it is wanted.status
        ]
        which += [VmRow.trouble.is_(None), tuple_(VmRow.wish, VmRow.step).in_(pairs)]
    return and_(*which)


def _columns(vm: Vm) -> dict[str, Any]:
    return {name: getattr(vm, name) for name in _SAME} | {
        "source_type": vm.source_type.value,
        "wish": vm.wish.value,
        "step": vm.step.value,
        "ssh_keys": list(vm.ssh_keys),
        "labels": dict(vm.labels),
    }


def _vm_of(row: Sequence[Any]) -> Vm:
    """Return a machine of what `_READ` reads; what comes after that in a row is not the machine's."""
    said = dict(zip(_NAMES, row, strict=False))
    said["source_type"] = SourceType(said["source_type"])
    said["wish"], said["step"] = Wish(said["wish"]), Step(said["step"])
    said["ssh_keys"] = tuple(said["ssh_keys"])
    return Vm(**said)
