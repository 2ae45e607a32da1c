"""All use-cases of iam, on fakes."""

import itertools
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from iam.clients.keyring import Keyring
from iam.clients.seal import AesSealer
from iam.clients.throttle import MemoryThrottle
from iam.domain.grants import Grant
from iam.domain.password import POLICIES
from iam.domain.signing import Rotation
from iam.ports import Means
from iam.usecases.api_keys import Keys
from iam.usecases.assignments import Assignments
from iam.usecases.authority import Replicas
from iam.usecases.avatars import Avatars
from iam.usecases.board import Board
from iam.usecases.bootstrap import Bootstrap
from iam.usecases.debug import Debug
from iam.usecases.decisions import Decisions
from iam.usecases.external import External
from iam.usecases.feed import Feed
from iam.usecases.gitops import Gitops
from iam.usecases.gitops_supers import Supers
from iam.usecases.guests import Guests
from iam.usecases.hall import Hall
from iam.usecases.invitations import Invitations
from iam.usecases.keys import SigningKeys
from iam.usecases.live import Live
from iam.usecases.logins import Logins
from iam.usecases.members import Members
from iam.usecases.opening import Opening
from iam.usecases.organizations import Organizations
from iam.usecases.passwords import PasswordChanges
from iam.usecases.registering import Registration
from iam.usecases.roles import Roles
from iam.usecases.sessions import Sessions
from iam.usecases.stats import Statistics
from iam.usecases.users import Users
from services.iam.tests.fakes.credentials import FakePasswords
from services.iam.tests.fakes.makers import a_tenant, a_user
from services.iam.tests.fakes.outside import FakeImages, FakePresence, FakeShelf
from services.iam.tests.fakes.work import FakeWork
from services.iam.tests.fakes.world import ISSUER, Clock, World


@dataclass
class Service:
    """All of iam on fakes. `wake` is called after each commit that changed authority."""

    clock: Clock = field(default_factory=Clock)
    world: World = field(default_factory=World)

    def __post_init__(self):
        secrets = (f"secret-{n:040}" for n in itertools.count())
        ids = (UUID(int=(1 << 80) + n) for n in itertools.count())
        self.means = Means(self.clock, lambda: next(ids), lambda: next(secrets))
        self.passwords = FakePasswords()
        policy = POLICIES["compat"]
        self.ring = Keyring(AesSealer("s" * 32, "test"), self.clock)
        self.ring.take([self.ring.make(self.clock(), self.clock())])
        self.opening = Opening(ISSUER, self.ring, self.means)
        self.feed = Feed(self.work, self.clock)
        self.replicas = Replicas(self.work, self.feed, self.means)
        throttle = MemoryThrottle(lambda: self.clock().timestamp())
        self.logins = Logins(self.work, self.passwords, throttle, self.opening)
        self.changes = PasswordChanges(self.work, self.passwords, throttle, policy, self.means)
        self.users = Users(self.work, self.passwords, policy, self.means)
        self.decisions = Decisions(self.work, self.means)
        self.members = Members(self.work, self.users)
        self.organizations = Organizations(self.work, self.passwords, policy, self.opening)
        self.roles = Roles(self.work, self.means)
        self.assignments = Assignments(self.work, self.means)
        self.invitations = Invitations(self.work, self.passwords, policy, self.opening)
        self.guests = Guests(self.work, self.means)
        self.external = External(self.work, self.means)
        self.keys = Keys(self.work, self.means)
        self.sessions = Sessions(self.work, self.means)
        self.gitops = Gitops(self.work, self.passwords, policy, self.means)
        self.supers = Supers(self.work, self.means)
        self.debug = Debug(self.work, self.means)
        self.bootstrap = Bootstrap(self.work, self.passwords, policy, self.means)
        self._listen()
        self._sign()

    def _sign(self):
        rotation = Rotation(
            signs_for=timedelta(days=30),
            published_ahead=timedelta(hours=1),
            kept_after=timedelta(hours=2),
        )
        self.signing = SigningKeys(self.work, self.ring, rotation, self.clock)

    def _listen(self):
        policy = POLICIES["compat"]
        self.registration = Registration(self.work, self.passwords, policy, self.opening, "open")
        self.board = Board(self.work)
        self.live = Live(self.work, self.board, self.means)
        self.hall = Hall()
        self.shelf = FakeShelf(self.clock)
        self.avatars = Avatars(self.gitops, self.work, FakeImages(), self.shelf, self.means)
        self.presence = FakePresence(self.hall)
        self.statistics = Statistics(self.work, self.presence, self.means)

    @asynccontextmanager
    async def work(self):
        draft = self.world.copy()
        made = FakeWork(draft, self.clock)
        yield made
        made.close()
        vars(self.world).update(vars(draft))
        if made.news:
            self.feed.wake()
            self.board.wake()

    def tenant(self, subdomain="acme", **more):
        made = a_tenant(subdomain=subdomain, id=self.means.new_id(), **more)
        self.world.tenants[made.id] = made
        return made

    def user(self, tenant, email="ann@acme.test", roles=("user",), **more):
        made = a_user(tenant=tenant.id, email=email, id=self.means.new_id(), **more)
        if "grants" not in more:
            made = replace(made, grants=tuple(Grant(r) for r in roles))
        self.world.users[made.id] = made
        return made
