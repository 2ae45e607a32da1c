"""Callers as a replica makes them: with roles at every level, groups and a project's list."""

from uuid import uuid4

from authz.decision import AclEntry, Binding
from authz.replica import Membership, Replica, Subject
from authz.standing import Project
from authz.verbs import masks
from chassis.caller import Caller


def caller(tenant, *permissions, level="tenant", where="", lent=(), in_group=False):
    """`permissions` by a role at `level`; `lent` by the list of the project `where`, to a group if `in_group`."""
    me, group, home = str(uuid4()), str(uuid4()), str(tenant)
    place = {"tenant": home, "platform": ""}.get(level, where)
    role = Binding(role="r", masks=masks(permissions), level=level, where=place, tenant=home)
    replica, subject = Replica(), _subject(me, role)
    replica.subjects[me] = subject
    if in_group:
        replica.put_membership(Membership("m", home, me, group))
    replica.put_project(_project(home, where, lent, group if in_group else me))
    standing = replica.standing(subject, home, None, 0.0)
    return Caller(
        subject=me,
        tenant=tenant,
        permissions=standing.permissions,
        account=me,
        standing=standing,
        credential=me,
    )


def _subject(me, role):
    return Subject(
        id=me,
        tenant=role.tenant,
        active=True,
        name="someone",
        roles=(),
        permissions=frozenset(),
        platform=role.level == "platform",
        bindings=(role,),
    )


def _project(home, slug, lent, whom):
    entries = tuple(
        AclEntry(mask=mask, principals=frozenset({whom}), kind=kind)
        for kind, mask in masks(lent).items()
    )
    return Project(id=str(uuid4()), tenant=home, slug=slug, acl=entries)
