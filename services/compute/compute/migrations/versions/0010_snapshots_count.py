"""Snapshots take of the quota, those that there are too. What yesterday's code takes meanwhile takes nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = "compute"
COUNTED = """
UPDATE compute.quota_used AS used SET disk_gb = used.disk_gb + kept.disk_gb
FROM (SELECT tenant, sum(disk_gb) AS disk_gb FROM compute.snapshot GROUP BY tenant) AS kept
WHERE kept.tenant = used.tenant
"""


def upgrade():
    size = sa.Column("disk_gb", sa.Integer, nullable=False, server_default=sa.text("0"))
    op.add_column("snapshot", size, schema=SCHEMA)
    op.execute(
        "UPDATE compute.snapshot AS one SET disk_gb = vm.disk_gb FROM compute.vm WHERE vm.id = one.vm_id"
    )
    op.execute(COUNTED)
