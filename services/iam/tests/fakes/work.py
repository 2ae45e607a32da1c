"""A unit of work, in memory."""

import json

from iam.domain.authority import Change
from iam.domain.happening import Happening, notes_of
from services.iam.tests.fakes.credentials import (
    FakeApiKeys,
    FakeResets,
    FakeSessions,
    FakeSigningKeys,
)
from services.iam.tests.fakes.entities import FakeEntities
from services.iam.tests.fakes.grants import (
    FakeBindings,
    FakeExternal,
    FakeGuests,
    FakeInvitations,
    FakeRoles,
)
from services.iam.tests.fakes.news import FakeAuthority, FakeCounts, FakeHappenings
from services.iam.tests.fakes.people import FakeAccounts, FakeMachines, FakeTenants, FakeUsers
from services.iam.tests.fakes.world import START


class FakeWork:
    def __init__(self, world, clock=lambda: START):
        self._world = world
        self._clock = clock
        self._changes = {}
        self._notes = {}
        self.tenants = FakeTenants(world)
        self.users = FakeUsers(world, clock)
        self.accounts = FakeAccounts(world, self.users)
        self.machines = FakeMachines(world, self.users)
        self.roles = FakeRoles(world, self.users)
        self.bindings = FakeBindings(world, self.users)
        self.guests = FakeGuests(world)
        self.external = FakeExternal(world)
        self.invitations = FakeInvitations(world)
        self.api_keys = FakeApiKeys(world)
        self.sessions = FakeSessions(world, self.accounts)
        self.resets = FakeResets(world)
        self.happenings = FakeHappenings(world)
        self.counts = FakeCounts(world)
        self.entities = FakeEntities(world, self.changed)
        self.signing_keys = FakeSigningKeys(world)
        self.authority = FakeAuthority(world, self.users, self.machines)

    async def alone(self, name):
        pass

    def changed(self, kind, id_):
        self._changes[kind, id_] = None

    @property
    def news(self):
        return bool(self._changes or self._notes)

    def record(self, fact):
        json.dumps([fact.before, fact.after])
        self._world.facts.append(fact)
        self._notes |= dict.fromkeys(notes_of(fact))

    def close(self):
        next_ = self._world.trimmed + len(self._world.changes) + 1
        self._world.changes += [Change(next_ + n, *c) for n, c in enumerate(self._changes)]
        next_ = self._world.forgotten + len(self._world.happenings) + 1
        self._world.happenings += [
            Happening(next_ + n, note, self._clock()) for n, note in enumerate(self._notes)
        ]
