"""What all fakes of iam stand on: a clock, and what a database would hold."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chassis.pages import Slice
from iam.domain.session import Issuer, Lifetimes

START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


PASSWORD = "correct horse battery"


ISSUER = Issuer(
    name="http://iam.test",
    audience="switchyard",
    lifetimes=Lifetimes(access=timedelta(minutes=10), refresh=timedelta(days=30)),
)


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: datetime = START

    def __call__(self):
        return self.at

    def forward(self, **by):
        self.at += timedelta(**by)


@dataclass
class World:
    """What a fake database holds, and what was recorded."""

    tenants: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)
    roles: dict = field(default_factory=dict)
    invitations: dict = field(default_factory=dict)
    begun: set = field(default_factory=set)
    bindings: dict = field(
        default_factory=dict
    )  # (tenant, principal) → grants, but of users at home
    lines: dict = field(default_factory=dict)
    guests: dict = field(default_factory=dict)  # (user, tenant) → who added them
    keys: dict = field(default_factory=dict)
    sessions: dict = field(default_factory=dict)
    tokens: dict = field(default_factory=dict)
    signing_keys: dict = field(default_factory=dict)
    resets: dict = field(default_factory=dict)
    changes: list = field(default_factory=list)
    entities: dict = field(default_factory=dict)
    trimmed: int = 0
    facts: list = field(default_factory=list)
    happenings: list = field(default_factory=list)
    forgotten: int = 0

    def copy(self):
        return World(**{name: _copied(value) for name, value in vars(self).items()})

    def actions(self):
        return [fact.action for fact in self.facts]


def _copied(value):
    return value if isinstance(value, int) else value.copy()


def slice_of(items, ask, position):
    rest = [i for i in items if ask.after is None or position(i) > ask.after]
    rest = rest[ask.offset :]
    page = rest[: ask.limit]
    more = len(rest) > ask.limit
    return Slice(items=page, next=position(page[-1]) if more and page else None, total=len(items))
