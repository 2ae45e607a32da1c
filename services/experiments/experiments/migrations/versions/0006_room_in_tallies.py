"""Leave room on the pages of tallies, so that one that changes stays on its page and its index entry holds."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade():
    op.execute("ALTER TABLE experiments.tally SET (fillfactor = 70)")
    op.execute("ALTER TABLE experiments.cell SET (fillfactor = 50)")
