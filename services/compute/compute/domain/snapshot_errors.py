"""What can go wrong with snapshots."""

from chassis.errors import Conflict, NotFound, Stale


class SnapshotNotFound(NotFound):
    """There is no such snapshot of this machine."""

    code = "compute.snapshot_not_found"


class SnapshotBusy(Conflict):
    """Something is being done with a snapshot of the machine; wait for its operation to end."""

    code = "compute.snapshot_busy"


class SnapshotStale(Stale):
    """The snapshot was changed since the version that `If-Match` names; read it again."""

    code = "compute.snapshot_stale"


class TooManySnapshots(Conflict):
    """The machine has as many snapshots as a machine may have; delete one."""

    code = "compute.too_many_snapshots"
