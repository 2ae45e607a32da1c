"""Projects and environments in PostgreSQL."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import partial
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import after_commit
from chassis.pages import PageAsk, Slice, cut
from flags.domain.place import Environment, Place, Project
from flags.ports import News
from flags.store.tables import EnvironmentRow, ProjectRow

_KEY = ProjectRow.key.collate("C")


class SqlProjectBook:
    """The project book over one session."""

    def __init__(self, session: AsyncSession, news: News) -> None:
        self._session = session
        self._news = news

    async def get(self, tenant: UUID, key: str) -> Project | None:
        """Return a project; None if there is none."""
        query = select(ProjectRow).filter_by(tenant=tenant, key=key)
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

    async def page(self, tenant: UUID, ask: PageAsk) -> Slice[Project]:
        """Return a part of a tenant's projects, by key."""
        mine = ProjectRow.tenant == tenant
        query = select(ProjectRow).where(mine).order_by(_KEY).offset(ask.offset)
        if ask.after:
            query = query.where(_KEY > ask.after[0])  # noqa: SIM300 - SQL, not Yoda
        rows = (await self._session.scalars(query.limit(ask.limit + 1))).all()
        total = await self._session.scalar(select(func.count()).where(mine))
        items, after = cut(rows, ask.limit, lambda row: (row.key,))
        return Slice(items=await self._whole(items), next=after, total=total)

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


def _row(project: Project) -> dict[str, object]:
    fields = ("id", "tenant", "key", "name", "version", "created_at")
    return {field: getattr(project, field) for field in fields}


def _environment_row(project: Project, environment: Environment) -> dict[str, object]:
    fields = ("id", "key", "name", "revision", "created_at")
    return {"project_id": project.id, **{field: getattr(environment, field) for field in fields}}


def _environment(row: EnvironmentRow) -> Environment:
    return Environment(
        id=row.id, key=row.key, name=row.name, revision=row.revision, created_at=row.created_at
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
