"""Experiments that have ended, or have a date for it, let nothing more count from there."""

from schemas import online

revision = "0008"
down_revision = "0007"

_ENDS = "SELECT coalesce(e.completed_at, greatest(e.end_at, e.schedule_set_at)) FROM experiments.experiment e"
_MINE = "WHERE e.id = experiment AND (e.completed_at IS NOT NULL OR e.end_at IS NOT NULL)"
CLOSES = f"closes = (extract(epoch FROM ({_ENDS} {_MINE})) * 1000000)::int8"
NOT_YET = f"closes IS NULL AND EXISTS ({_ENDS} {_MINE})"


def upgrade():
    online.fill("source", CLOSES, NOT_YET, schema="experiments")
