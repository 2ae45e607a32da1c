"""The times in each stretch of the events, so that the latest are found; kept at next to no cost by who inserts."""

from schemas import online

revision = "0009"
down_revision = "0008"


def upgrade():
    online.index("event_at", "event", ["at"], schema="experiments", postgresql_using="brin")
