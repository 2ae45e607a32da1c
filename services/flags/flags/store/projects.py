"""Projects and environments in PostgreSQL."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import after_commit
from chassis.pages import PageAsk, Slice, cut
from flags.domain.listing import Sought
from flags.domain.place import Environment, Place, Project
from flags.ports import Hold
from flags.ports.serving import News
from flags.store.tables import EnvironmentRow, FlagRow, ProjectRow, SwitchRow

_KEY = ProjectRow.key.collate("C")


class SqlProjectBook:
    """The project book over one session."""

    def __init__(self, session: AsyncSession, news: News) -> None:
        self._session = session
        self._news = news

    async def get(self, tenant: UUID, key: str, hold: Hold | None = None) -> Project | None:
        """Return a project, held until the work ends if that is asked for; None if there is none."""
        query = select(ProjectRow).filter_by(tenant=tenant, key=key)
        if hold:
            # FOR KEY SHARE, FOR NO KEY UPDATE or FOR UPDATE: the first goes with the second, the last with none.
            query = query.with_for_update(read=hold == "shared", key_share=hold != "alone")
        rows = (await self._session.scalars(query)).all()
        return next(iter(await self._whole(rows)), None)

    async def add(self, project: Project) -> bool:
        """Keep a new project; False if another one has its key. Waits for whoever is adding that one now."""
        claim = (
            insert(ProjectRow)
            .values(**_row(project))
            .on_conflict_do_nothing(constraint="project_key")
            .returning(ProjectRow.id)
        )
        if await self._session.scalar(claim) is None:
            return False
        rows = [_environment_row(project, environment) for environment in project.environments]
        await self._session.execute(insert(EnvironmentRow), rows)
        return True

    async def page(self, tenant: UUID, sought: Sought, ask: PageAsk) -> Slice[Project]:
        """Return the part of a tenant's projects that is asked for, by key."""
        mine = and_(ProjectRow.tenant == tenant, *_sought(sought))
        query = select(ProjectRow).where(mine).order_by(_KEY).offset(ask.offset)
        if ask.after:
            query = query.where(_KEY > ask.after[0])  # noqa: SIM300 - SQL, not Yoda
        rows = (await self._session.scalars(query.limit(ask.limit + 1))).all()
        total = await self._session.scalar(select(func.count()).select_from(ProjectRow).where(mine))
        items, after = cut(rows, ask.limit, lambda row: (row.key,))
        return Slice(items=await self._whole(items), next=after, total=total)

    async def add_environment(self, project: Project, environment: Environment) -> bool:
        """Keep a new environment, with a switch for every flag, disabled; False if its key is taken."""
        claim = (
            insert(EnvironmentRow)
            .values(**_environment_row(project, environment))
            .on_conflict_do_nothing(constraint="environment_key")
            .returning(EnvironmentRow.id)
        )
        if await self._session.scalar(claim) is None:
            return False
        columns = (
            "flag_id",
            "environment_id",
            "enabled",
            "default_variant",
            "off_variant",
            "version",
        )
        like = project.environments[0].id
        switches = (
            select(
                SwitchRow.flag_id,
                literal(environment.id),
                literal(value=False),
                SwitchRow.default_variant,
                SwitchRow.off_variant,
                literal(1),
            )
            .join(FlagRow, FlagRow.id == SwitchRow.flag_id)
            .where(SwitchRow.environment_id == like)
        )
        await self._session.execute(insert(SwitchRow).from_select(columns, switches))
        return True

    async def put_environment(self, before: Environment, after: Environment) -> bool:
        """Keep an environment as it now stands; False if it was changed since it stood as before."""
        change = (
            update(EnvironmentRow)
            .where(EnvironmentRow.id == before.id, EnvironmentRow.version == before.version)
            .values(name=after.name, approvals=after.approvals, version=after.version)
            .returning(EnvironmentRow.id)
            .execution_options(synchronize_session=False)
        )
        return await self._session.scalar(change) is not None

    async def remove_environment(self, environment: Environment) -> None:
        """Forget an environment with all its switches."""
        await self._session.execute(
            delete(EnvironmentRow)
            .where(EnvironmentRow.id == environment.id)
            .execution_options(synchronize_session=False)
        )

    async def bump(self, project: Project, environments: Collection[str]) -> None:
        """Give environments their next revision, always in the same order, so that no two writers wait in a ring."""
        ids = sorted(e.id for e in project.environments if e.key in environments)
        for environment_id in ids:
            key, revision = await self._next_revision(environment_id)
            place = Place(project.tenant, project.key, key)
            after_commit(self._session, partial(self._news.tell, place, revision))

    async def _next_revision(self, environment_id: UUID) -> tuple[str, int]:
        change = (
            update(EnvironmentRow)
            .where(EnvironmentRow.id == environment_id)
            .values(revision=EnvironmentRow.revision + 1)
            .returning(EnvironmentRow.key, EnvironmentRow.revision)
            .execution_options(synchronize_session=False)
        )
        key, revision = (await self._session.execute(change)).one()
        return key, revision

    async def _whole(self, rows: Iterable[ProjectRow]) -> list[Project]:
        """Return projects with their environments, in one more query for all of them."""
        rows = list(rows)
        query = (
            select(EnvironmentRow)
            .where(EnvironmentRow.project_id.in_([row.id for row in rows]))
            .order_by(EnvironmentRow.id)
        )
        found: defaultdict[UUID, list[Environment]] = defaultdict(list)
        for row in await self._session.scalars(query) if rows else ():
            found[row.project_id].append(_environment(row))
        return [_project(row, found[row.id]) for row in rows]


def _sought(sought: Sought) -> Iterator[ColumnElement[bool]]:
    if sought.key is not None:
        yield ProjectRow.key == sought.key
    if sought.search:
        columns = (ProjectRow.key, ProjectRow.name)
        yield or_(*(column.icontains(sought.search, autoescape=True) for column in columns))


def _row(project: Project) -> dict[str, object]:
    fields = ("id", "tenant", "key", "name", "version", "created_at")
    return {field: getattr(project, field) for field in fields}


def _environment_row(project: Project, environment: Environment) -> dict[str, object]:
    fields = ("id", "key", "name", "approvals", "revision", "version", "created_at")
    return {"project_id": project.id, **{field: getattr(environment, field) for field in fields}}


def _environment(row: EnvironmentRow) -> Environment:
    return Environment(
        id=row.id,
        key=row.key,
        name=row.name,
        approvals=row.approvals,
        revision=row.revision,
        version=row.version,
        created_at=row.created_at,
    )


def _project(row: ProjectRow, environments: list[Environment]) -> Project:
    return Project(
        id=row.id,
        tenant=row.tenant,
        key=row.key,
        name=row.name,
        environments=tuple(environments),
        version=row.version,
        created_at=row.created_at,
    )
