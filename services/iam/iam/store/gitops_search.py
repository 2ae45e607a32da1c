"""Which part of a collection of /global is wanted: as far as one may list it, and by a part of its key."""

from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, cast, func, or_, select
from sqlalchemy.orm import aliased

from chassis.pages import PageAsk
from iam.domain.gitops import C, EntityQuery
from iam.store.tables import EntityRow, UserRow

_HERE = EntityRow.deleted_at.is_(None)
_LIVE = UserRow.deleted_at.is_(None)
_KEY = func.concat("u_", func.coalesce(UserRow.username, UserRow.email))


def _edge_key() -> ColumnElement[str]:
    """Return the key that a membership has by its ends: `{principal}::{group}`."""
    end, group = aliased(EntityRow), aliased(EntityRow)
    thing = select(end.key).where(end.id == EntityRow.principal).scalar_subquery()
    person = select(_KEY).where(UserRow.id == EntityRow.principal).scalar_subquery()
    whole = select(group.key).where(group.id == EntityRow.parent).scalar_subquery()
    return func.concat(func.coalesce(thing, person), "::", whole)


_EDGE = _edge_key()


def wanted(query: EntityQuery, ask: PageAsk) -> Select[EntityRow]:
    """Select a part of a collection that is kept in `entity`, the oldest first."""
    found = select(EntityRow).where(
        EntityRow.tenant == query.tenant, EntityRow.collection == query.collection, _HERE
    )
    if query.readers is not None:
        found = found.where(EntityRow.readers.overlap(sorted(query.readers)))
    if query.search:
        key = _EDGE if query.collection is C.MEMBERSHIPS else cast(EntityRow.key, Text)
        found = found.where(key.icontains(query.search, autoescape=True))
    if ask.after:
        found = found.where(EntityRow.id > UUID(ask.after[0]))
    return found.order_by(EntityRow.id)


def people_wanted(query: EntityQuery, ask: PageAsk) -> Select[UserRow]:
    """Select a part of the users, the oldest first."""
    found = select(UserRow).where(UserRow.tenant == query.tenant, _LIVE)
    if query.readers is not None:
        readers = EntityRow.readers.overlap(sorted(query.readers))
        shown = select(EntityRow.id).where(EntityRow.collection == C.USERS, readers)
        found = found.where(or_(UserRow.id.in_(query.readers), UserRow.id.in_(shown)))
    if query.search:
        texts = (_KEY, UserRow.email)
        found = found.where(or_(*(t.icontains(query.search, autoescape=True) for t in texts)))
    if ask.after:
        found = found.where(UserRow.id > UUID(ask.after[0]))
    return found.order_by(UserRow.id)
