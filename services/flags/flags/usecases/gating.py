"""Segments where changes want approvals: whom a segment selects decides what flags serve.

A change request is about one flag, and its approvers have read that flag; a segment may decide about many, in every
environment. So a segment that is asked for where approvals are wanted stays as it is: another one takes its place, by a
change request of each flag.
"""

from collections.abc import Collection

from flags.domain.analyse import Neighbours
from flags.domain.errors import ApprovalNeeded
from flags.domain.place import Project
from flags.ports import Work


async def must_select_the_same(work: Work, project: Project, segments: Collection[str]) -> None:
    """Refuse to change whom these segments select where approvals are wanted. The project must be held."""
    for environment in project.environments:
        if segments and environment.approvals:
            near = await work.uses.neighbours(project, environment.key)
            for segment in segments:
                _must_decide_nothing(segment, environment.key, near)


def _must_decide_nothing(segment: str, environment: str, near: Neighbours) -> None:
    groups = _asking(segment, near)
    for key, flag in sorted(near.flags.items()):
        if flag.uses.segments & groups:
            raise ApprovalNeeded(
                f"segment {segment!r} decides about flag {key!r} in environment {environment!r}, where changes want "
                "approvals: make another segment, and ask for the flag to use that with POST /api/v1/change-requests"
            )


def _asking(segment: str, near: Neighbours) -> set[str]:
    """Return a segment with all that ask for it, however far."""
    found, todo = {segment}, [segment]
    while todo:
        asked = todo.pop()
        above = {key for key, uses in near.segments.items() if asked in uses.segments} - found
        found |= above
        todo += above
    return found
