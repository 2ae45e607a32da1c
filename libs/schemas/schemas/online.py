"""What a migration does to a table in use: nothing here keeps others waiting while rows are gone through.

Each step is committed by itself, so it must be the last of its migration that matters if it is interrupted, and may be
begun again: what an interruption left half done is removed first. tests/house holds new migrations to it.
"""

from collections.abc import Sequence
from typing import Any

from alembic import op
from sqlalchemy import text


def index(name: str, table: str, columns: Sequence[Any], *, schema: str, **options: Any) -> None:  # noqa: ANN401 - alembic's
    """Make an index while others write (CREATE INDEX CONCURRENTLY); `options` as `op.create_index` takes them."""
    with op.get_context().autocommit_block():
        beside = _beside_writers(table, schema)
        op.drop_index(name, table, schema=schema, if_exists=True, **beside)
        op.create_index(name, table, columns, schema=schema, **beside, **options)
        op.execute("SET lock_timeout = '1s'")


def no_index(name: str, table: str, *, schema: str) -> None:
    """Drop an index that another has made needless (DROP INDEX CONCURRENTLY)."""
    with op.get_context().autocommit_block():
        op.drop_index(name, table, schema=schema, if_exists=True, **_beside_writers(table, schema))
        op.execute("SET lock_timeout = '1s'")


def _beside_writers(table: str, schema: str) -> dict[str, Any]:
    """Return how an index is made or dropped: beside its writers, for whom it waits and who do not wait for it.

    CONCURRENTLY waits for every transaction of the whole database, at a platform's first start for all the other
    migrations, again for each index. An empty table has nothing to go through, so there it is done the plain way.
    """
    if not op.get_bind().scalar(text(f'SELECT EXISTS (SELECT FROM "{schema}"."{table}")')):  # noqa: S608
        return {}
    op.execute("SET lock_timeout = 0")
    return {"postgresql_concurrently": True}


def check(name: str, table: str, holds: str, *, schema: str) -> None:
    """Demand that a condition holds: of new rows at once, then of the old ones (NOT VALID, VALIDATE)."""
    place = f'"{schema}"."{table}"'
    with op.get_context().autocommit_block():
        op.execute(f'ALTER TABLE {place} DROP CONSTRAINT IF EXISTS "{name}"')
        op.execute(f'ALTER TABLE {place} ADD CONSTRAINT "{name}" CHECK ({holds}) NOT VALID')
        op.execute(f'ALTER TABLE {place} VALIDATE CONSTRAINT "{name}"')


def fill(table: str, change: str, where: str, *, schema: str, rows: int = 5_000) -> None:
    """Change old rows, some at a time: `UPDATE table SET change WHERE where`; what is changed is no longer `where`."""
    place = f'"{schema}"."{table}"'
    some = f"ctid = ANY (ARRAY(SELECT ctid FROM {place} WHERE {where} LIMIT {rows} FOR UPDATE SKIP LOCKED))"  # noqa: S608
    left = text(f"SELECT EXISTS (SELECT FROM {place} WHERE {where})")  # noqa: S608 - a migration's own words
    with op.get_context().autocommit_block():
        while op.get_bind().scalar(left):
            op.execute(f"UPDATE {place} SET {change} WHERE ({where}) AND {some}")  # noqa: S608
