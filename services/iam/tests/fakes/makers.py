"""Values to begin with."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from chassis.caller import Caller
from iam.domain.grants import Grant, Where, Window
from iam.domain.roles import ADMINISTRATORS, SYSTEM, permissions_of
from iam.domain.session import Issuer
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.usecases.assignments import To
from services.iam.tests.fakes.work import FakeWork
from services.iam.tests.fakes.world import ISSUER, PASSWORD, START, World


def a_tenant(**more):
    values = {"id": uuid4(), "subdomain": f"t{uuid4().hex[:10]}", "name": "T"}
    return Tenant(**(values | {"created_at": START, "updated_at": START} | more))


def a_user(**more):
    values = {
        "id": uuid4(),
        "tenant": uuid4(),
        "email": f"{uuid4().hex[:10]}@acme.test",
        "password": f"fake${PASSWORD[::-1]}",
        "created_at": START,
        "updated_at": START,
    }
    return User(**(values | more))


def as_caller(user, session=None, **more):
    """Return the caller that a user is."""
    values = {
        "subject": str(user.id),
        "tenant": user.tenant,
        "permissions": user.permissions,
        "roles": user.roles,
        "name": user.name,
        "platform": user.platform,
        "account": str(user.id),
        "credential": str(session or uuid4()),
    }
    return Caller(**(values | more))


@dataclass(frozen=True)
class Makers:
    """The makers above, for test modules (which cannot import each other)."""

    password: str = PASSWORD
    issuer: Issuer = ISSUER
    start: datetime = START
    tenant = staticmethod(a_tenant)
    user = staticmethod(a_user)
    caller = staticmethod(as_caller)
    work = FakeWork
    world = World
    permissions_of = staticmethod(permissions_of)
    grant = Grant
    to = To
    where = Where
    window = Window
    system_roles = SYSTEM
    administrators = ADMINISTRATORS
