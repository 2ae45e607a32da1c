"""What a tenant may have at most, where that was said for it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"

SCHEMA = "compute"
ONE = sa.text("1")


def upgrade():
    for name in ("max_vms", "max_cpu", "max_memory_gb", "max_disk_gb"):
        op.add_column("quota_used", sa.Column(name, sa.Integer), schema=SCHEMA)
    version = sa.Column("version", sa.Integer, nullable=False, server_default=ONE)
    op.add_column("quota_used", version, schema=SCHEMA)
