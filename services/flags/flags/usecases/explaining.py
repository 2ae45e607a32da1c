"""Explaining what somebody would get, now or then, and whom an edit would move. Nothing is changed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from flags.domain.analyse import Finding, analyse
from flags.domain.answers import Answer, Trouble, failed
from flags.domain.context import Context
from flags.domain.errors import RevisionNotFound
from flags.domain.explain import Explainer, Explanation
from flags.domain.flag import Change, Flag
from flags.domain.neighbourhood import around
from flags.domain.place import Place, Project
from flags.domain.revision import stored_at, stored_now
from flags.domain.ruleset import Ruleset, Stored, compile_all
from flags.ports import OpenWork, Work
from flags.ports.serving import Reading, Shelf
from flags.usecases.checking import allowed, refuse
from flags.usecases.homes import home

Seen = Callable[[Place], Sequence[Context]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When: at one revision of the flag, at a time, or (neither) now."""

    revision: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """Whom an edit would move: how many of the known units, from which variant to which, and what looks wrong."""

    units: int
    seen: bool
    moves: Mapping[tuple[str, str], int]
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class Explaining:
    """Questions about flags that are answered by evaluating them."""

    work: OpenWork
    shelf: Shelf
    seen: Seen
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def explain(
        self, caller: Caller, place: Place, flag: str, context: Context, moment: Moment
    ) -> Explanation:
        """Return what a context gets and why, step by step. Of the past, segments are as they are now.

        Who may not read every flag of the project is not told how the others came to what they serve.
        """
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project, found = await self._found(work, caller, place, flag)
            then = await self._then(work, project, found, place, moment)
        now = self.now()
        reading = await self.shelf.read(place)
        if then is not None:
            now, rows = then
            reading = Reading(reading.revision, rows, reading.segments)
        if all(row.key != found.key for row in reading.rows):
            step = {"step": "lifecycle", "served": False}
            return Explanation(_unserved(found, then and then[0]), [step])
        explainer = _explainer(place, _around(found.key, reading))
        told = explainer.explain(found.key, context, now.timestamp())
        may_read_all = caller.may("flag:read", Thing(project=project.key))
        return told if may_read_all else replace(told, needed={})

    async def preview(
        self,
        caller: Caller,
        place: Place,
        flag: str,
        change: Change,
        contexts: Sequence[Context] | None,
    ) -> Preview:
        """Return how many of these contexts, or of those that this replica saw lately, an edit would move."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project, before = await self._found(work, caller, place, flag)
            after = before.changed(place.environment, self.now(), change)
            neighbours = await work.uses.neighbours(project, place.environment)
        switch = after.switch(place.environment)
        findings = analyse(after.key, after.variants.keys(), switch.targeting, neighbours)
        refuse(findings)
        reading = await self.shelf.read(place)
        asked = self.seen(place) if contexts is None else contexts
        moves = _moves(place, reading, before, after, asked, self.now().timestamp())
        return Preview(len(asked), contexts is None, moves, findings)

    async def _then(
        self, work: Work, project: Project, flag: Flag, place: Place, moment: Moment
    ) -> tuple[datetime, Sequence[Stored]] | None:
        """Return a moment of the past, and what was served then."""
        at = moment.at
        if moment.revision is not None:
            found = await work.history.get(flag, moment.revision)
            if found is None:
                raise RevisionNotFound(f"flag {flag.key!r} has no revision {moment.revision}")
            at = found.at
            own = stored_at(flag, found.document, place.environment)
            others = await work.history.served_at(project, place.environment, at)
            rest = [row for row in others if row.key != flag.key]
            return at, rest if own is None else [*rest, own]
        if at is None:
            return None
        return at, await work.history.served_at(project, place.environment, at)

    async def _found(
        self, work: Work, caller: Caller, place: Place, name: str
    ) -> tuple[Project, Flag]:
        project = await home(work, place.tenant, place.project, self.now(), self.new_id)
        project.environment(place.environment)
        return project, allowed(caller, "flag:read", await work.flags.get(project, name), name)


def _explainer(place: Place, reading: Reading) -> Explainer:
    ruleset, refused = compile_all(place, reading.revision, reading.rows, None, reading.segments)
    rows = {row.key: row for row in reading.rows}
    return Explainer(rows, {s.key: s for s in reading.segments}, ruleset, refused)


def _around(key: str, reading: Reading) -> Reading:
    """Return what of a reading one flag can look at."""
    rows, segments = around(key, reading.rows, reading.segments)
    return Reading(reading.revision, rows, segments)


def _unserved(flag: Flag, then: datetime | None) -> Answer:
    """Return the answer of a flag that is not served, now or then: what it is now says nothing of the past."""
    said = f"flag {flag.key!r} is {flag.lifecycle.value} and is not served"
    if then is not None:
        missing = "there was no such flag" if then < flag.created_at else "it was not served"
        said = f"flag {flag.key!r}: {missing} at {then.isoformat(timespec='seconds')}"
    return failed(Trouble.FLAG_NOT_FOUND, said)


def _moves(
    place: Place,
    reading: Reading,
    before: Flag,
    after: Flag,
    contexts: Sequence[Context],
    now: float,
) -> Mapping[tuple[str, str], int]:
    """Return how many contexts move from which variant to which; those that stay are not in it."""
    old, new = (_with(place, reading, flag) for flag in (before, after))
    pairs = Counter(
        tuple(_variant(rules, before.key, context, now) for rules in (old, new))
        for context in contexts
    )
    return {(was, is_): count for (was, is_), count in pairs.items() if was != is_}


def _with(place: Place, reading: Reading, flag: Flag) -> Ruleset:
    """Return the ruleset with one flag as it is given, enabled: what is previewed are its rules.

    What experiments want of it stays: whom they have is not moved by what comes after them.
    """
    wanted = next((row.allocations for row in reading.rows if row.key == flag.key), ())
    stored = replace(stored_now(flag, place.environment), enabled=True, allocations=wanted)
    others = [row for row in reading.rows if row.key != flag.key]
    near = _around(flag.key, replace(reading, rows=[*others, stored]))
    return compile_all(place, 0, near.rows, None, near.segments)[0]


def _variant(ruleset: Ruleset, key: str, context: Context, now: float) -> str:
    return ruleset.ask(ruleset.flags[key], context, now).variant
