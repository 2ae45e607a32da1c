"""Personal parts of entries: sealed under the keys of those whom they are about, opened when they are read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from audit.domain.entry import ACTOR, TARGET, Event
from audit.domain.writing import Prepared
from audit.ports import Person, PersonId, Vault, Work

_MOST = 50_000
Sealed = Mapping[str, bytes]
Known = dict[
    tuple[int, str], Person
]  # by the log as a number, which is hashed ten times as fast, and who it is


def _about(tenant: UUID, event: UUID, part: str) -> bytes:
    return tenant.bytes + event.bytes + part.encode()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that a batch needs."""

    vault: Vault
    people: Known

    def sealed(self, one: Prepared) -> Sealed:
        """Seal the personal parts of an event. Of somebody who was erased, nothing is kept."""
        if one.sealed is not None:
            return one.sealed
        event = one.event
        sealed: dict[str, bytes] = {}
        for part, secret in one.secrets.items():
            key = self.people[event.tenant.int, one.people[part]].key
            if key is not None:
                sealed[part] = self.vault.seal(key, secret, _about(event.tenant, event.id, part))
        return sealed


def opened(
    vault: Vault, keys: Mapping[str, bytes], sealed: Mapping[str, bytes], event: Event
) -> dict[str, bytes]:
    """Return the personal parts of an entry that can still be read; `keys` are those of the parts."""
    found: dict[str, bytes] = {}
    for part in (ACTOR, TARGET):
        if part in keys and part in sealed:
            about = _about(event.tenant, event.id, part)
            if (secret := vault.unseal(keys[part], sealed[part], about)) is not None:
                found[part] = secret
    return found


class KeyCache:
    """Finds the keys of people, and makes them for those who are new.

    Only what another transaction left in the database is remembered: a key that was rolled back would seal for nobody.
    A remembered key outlives an erasure harmlessly: what it seals cannot be opened.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._known: Known = {}
        self._ring = Keyring(vault, self._known)

    def ahead(self, one: Prepared) -> Prepared:
        """Return an event sealed if everybody in it is known here; if not, that is left to the transaction."""
        log = one.event.tenant.int
        for who, name in one.names.items():
            if not self._knows((log, who), name):
                return one
        return Prepared(*one[:-1], self._ring.sealed(one))

    async def ring(self, work: Work, events: Sequence[Prepared]) -> Keyring:
        """Return the keys for those of these events that are not sealed yet."""
        called: dict[PersonId, set[str]] = {}
        for one in events:
            if one.sealed is not None:
                continue
            for person, name in one.names.items():
                called.setdefault((one.event.tenant, person), set()).add(name)
        if unknown := self._missing(called):
            await self._learn(work, unknown)
        missing = self._missing(called)
        found = {_short(who): self._known[_short(who)] for who in called if who not in missing}
        if missing:
            new = [self._new(who, called[who]) for who in sorted(missing)]
            found |= _by_number(await work.people.keep(new))
        return Keyring(self._vault, found)

    def _missing(self, called: Mapping[PersonId, set[str]]) -> set[PersonId]:
        """Return those who are not known, or not by all that they are called."""
        return {
            who
            for who, said in called.items()
            if not all(self._knows(_short(who), name) for name in said)
        }

    def _knows(self, who: tuple[int, str], name: str) -> bool:
        person = self._known.get(who)
        if person is None:
            return False
        return person.names == name or person.key is None or name in person.names.split("\n")

    async def _learn(self, work: Work, who: Collection[PersonId]) -> None:
        if len(self._known) > _MOST:
            self._known.clear()
        self._known.update(_by_number(await work.people.find(who)))

    def _new(self, who: PersonId, called: set[str]) -> Person:
        tenant, person = who
        old = self._known.get(_short(who))
        known = old.names.split("\n") if old and old.names else []
        told = "\n".join([*known, *sorted(called - set(known))])
        return Person(tenant=tenant, id=person, key=self._vault.fresh(), names=told)


def _short(who: PersonId) -> tuple[int, str]:
    tenant, person = who
    return tenant.int, person


def _by_number(people: Mapping[PersonId, Person]) -> Known:
    return {_short(who): person for who, person in people.items()}
