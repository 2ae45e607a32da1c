"""How often flags are used, in PostgreSQL: a row per flag, environment, hour, variant and reason."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Delete, delete, exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from flags.domain.flag import Flag
from flags.domain.place import Environment
from flags.domain.usage import Count, Period, Slot, Used
from flags.store.tables import EnvironmentRow, FlagRow, UsageRow, VariantUseRow

# One statement, whatever it is of how many tenants. In order, so that two replicas never wait for each other in a ring;
# what belongs to no flag any more is left out.
_SAID = """
    FROM unnest(
        CAST(:tenant AS uuid[]), CAST(:project AS text[]), CAST(:environment AS text[]), CAST(:flag AS text[]),
        CAST(:variant AS text[]), CAST(:reason AS text[]), CAST(:hour AS timestamptz[]), CAST(:count AS bigint[])
    ) AS said (tenant, project, environment, flag, variant, reason, hour, count)
    JOIN project p ON p.tenant = said.tenant AND p.key = said.project
    JOIN environment e ON e.project_id = p.id AND e.key = said.environment
    JOIN flag f ON f.project_id = p.id AND f.key = said.flag
"""
_COUNT = text(f"""
    INSERT INTO usage (environment_id, flag_id, hour, variant, reason, count)
    SELECT e.id, f.id, said.hour, said.variant, said.reason, sum(said.count) {_SAID}
    GROUP BY e.id, f.id, said.hour, said.variant, said.reason
    ORDER BY e.id, f.id, said.hour, said.variant, said.reason
    ON CONFLICT (environment_id, flag_id, hour, variant, reason)
    DO UPDATE SET count = usage.count + excluded.count
""")
_NOTE = text(f"""
    INSERT INTO variant_use (environment_id, flag_id, variant, first, last)
    SELECT e.id, f.id, said.variant, min(said.hour), max(said.hour) {_SAID}
    GROUP BY e.id, f.id, said.variant
    ORDER BY e.id, f.id, said.variant
    ON CONFLICT (environment_id, flag_id, variant)
    DO UPDATE SET last = greatest(variant_use.last, excluded.last)
    WHERE variant_use.last < excluded.last
""")


class SqlUsage:
    """The book of usage over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count(self, counts: Sequence[tuple[Slot, int]]) -> None:
        """Add to what was counted so far."""
        columns: dict[str, list[Any]] = {
            "tenant": [slot.place.tenant for slot, _ in counts],
            "project": [slot.place.project for slot, _ in counts],
            "environment": [slot.place.environment for slot, _ in counts],
            "flag": [slot.served.flag for slot, _ in counts],
            "variant": [slot.served.variant for slot, _ in counts],
            "reason": [slot.served.reason for slot, _ in counts],
            "hour": [slot.hour for slot, _ in counts],
            "count": [count for _, count in counts],
        }
        await self._session.execute(_COUNT, columns)
        await self._session.execute(_NOTE, columns)

    async def of_flag(
        self, flag: Flag, environment: Environment, period: Period
    ) -> Sequence[Count]:
        """Return the counts of a flag in a period, oldest first."""
        at = func.date_trunc(period.by, UsageRow.hour, "UTC").label("at")
        what = (at, UsageRow.variant, UsageRow.reason)
        query = (
            select(*what, func.sum(UsageRow.count))
            .where(_mine(flag, environment))
            .where(UsageRow.hour >= period.since, UsageRow.hour < period.until)
            .group_by(*what)
            .order_by(at, UsageRow.variant.collate("C"), UsageRow.reason.collate("C"))
        )
        rows = (await self._session.execute(query)).all()
        return [
            Count(at.astimezone(UTC), variant, reason, int(n)) for at, variant, reason, n in rows
        ]

    async def last(self, flag: Flag, environment: Environment) -> datetime | None:
        """Return the last hour in which a flag was asked for; None if it never was."""
        query = select(func.max(VariantUseRow.last)).where(
            VariantUseRow.environment_id == environment.id, VariantUseRow.flag_id == flag.id
        )
        found = await self._session.scalar(query)
        return found and found.astimezone(UTC)

    async def lately(self, environment: Environment, since: datetime) -> Sequence[Used]:
        """Return the use of every flag that was ever asked for in an environment, with its variants since a moment."""
        row = VariantUseRow
        query = (
            select(
                row.flag_id,
                func.array_agg(row.variant).filter(row.last >= since),
                func.max(row.last),
            )
            .where(row.environment_id == environment.id)
            .group_by(row.flag_id)
        )
        return [
            Used(flag_id=id_, variants=frozenset(variants or ()), last=last.astimezone(UTC))
            for id_, variants, last in (await self._session.execute(query)).all()
        ]

    async def begun(self, environment: Environment) -> datetime | None:
        """Return the first hour in which anything was counted in an environment; None if nothing was."""
        row = VariantUseRow
        query = select(func.min(row.first)).where(row.environment_id == environment.id)
        found = await self._session.scalar(query)
        return found and found.astimezone(UTC)

    async def forget(self, before: datetime) -> None:
        """Forget what was counted before a moment, and what belongs to nothing any more."""
        old = delete(UsageRow).where(UsageRow.hour < before)
        for gone in (old, *_homeless(UsageRow), *_homeless(VariantUseRow)):
            await self._session.execute(gone.execution_options(synchronize_session=False))


def _homeless(row: type[UsageRow | VariantUseRow]) -> tuple[Delete, Delete]:
    flag = exists().where(FlagRow.id == row.flag_id)
    environment = exists().where(EnvironmentRow.id == row.environment_id)
    return delete(row).where(~flag), delete(row).where(~environment)


def _mine(flag: Flag, environment: Environment) -> ColumnElement[bool]:
    return (UsageRow.environment_id == environment.id) & (UsageRow.flag_id == flag.id)
