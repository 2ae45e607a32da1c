"""What the verbs have in common: who may, and whether what is written can be served."""

from collections.abc import Collection, Iterable, Sequence

from authz.standing import Thing
from chassis.caller import Caller
from chassis.errors import FieldError
from flags.domain.analyse import Finding, Neighbours, analyse, analyse_segment
from flags.domain.errors import BadRules, FlagNotFound, InExperiment
from flags.domain.flag import SERVED, Flag
from flags.domain.neighbourhood import uses_of, uses_of_segment
from flags.domain.place import Project
from flags.domain.segment import Segment
from flags.domain.uses import NOTHING, Use, Uses
from flags.ports import Work


def allowed(caller: Caller, permission: str, flag: Flag | None, name: str) -> Flag:
    """Return a flag that is there and to which the caller may do this."""
    missing = FlagNotFound(f"there is no flag {name!r} in this project")
    if flag is None:
        raise missing
    caller.must_over(permission, Thing(flag.owner_id, flag.project, str(flag.id)), missing)
    return flag


async def check(work: Work, project: Project, flag: Flag, environments: Iterable[str]) -> None:
    """Refuse a flag whose targeting in one of these environments could not be served. The project must be held."""
    for environment in environments:
        targeting = flag.switch(environment).targeting
        if targeting:
            near = await _near(work, project, environment, uses_of(targeting))
            refuse(analyse(flag.key, flag.variants.keys(), targeting, near))


async def check_experiments(work: Work, before: Flag, after: Flag) -> None:
    """Refuse to take from a flag variants that an experiment assigns units to, or to serve it no more."""
    if before.lifecycle in SERVED and after.lifecycle not in SERVED:
        await must_serve_none(work, before, ())
    elif before.variants.keys() - after.variants.keys():
        await must_serve_none(work, before, after.variants)


async def must_serve_none(work: Work, flag: Flag, variants: Collection[str]) -> None:
    """Refuse if an experiment assigns units to other variants of a flag than these."""
    for kept in await work.allocations.of_flag(flag):
        said = kept.document or {}
        lost = [a["serves"] for a in said.get("arms", ()) if a["serves"] not in variants]
        if lost:
            raise InExperiment(
                f"experiment {said['experiment']!r} serves variant {lost[0]!r} of flag {flag.key!r}: end it first"
            )


async def check_segment(work: Work, project: Project, segment: Segment) -> None:
    """Refuse a segment that could not be served. The project must be held."""
    uses = uses_of_segment(segment.document)
    for environment in project.environments:
        near = await _near(work, project, environment.key, uses)
        refuse(analyse_segment(segment.key, segment.document, near))
        if uses == NOTHING:
            break


async def _near(work: Work, project: Project, environment: str, uses: Uses) -> Neighbours:
    """Return the neighbours of what uses any: most rules use none, and then nobody needs to be read."""
    if uses == NOTHING:
        return Neighbours()
    return await work.uses.neighbours(project, environment)


def refuse(findings: Sequence[Finding]) -> None:
    """Raise BadRules if there is an error among the findings."""
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        first = errors[0]
        raise BadRules(
            f"{first.pointer or 'the rules'}: {first.message}",
            errors=tuple(FieldError(f.pointer, f.message, f.code) for f in errors),
        )


def named(users: Sequence[Use]) -> str:
    """Return who uses something, in words."""
    names = dict.fromkeys(f"{use.kind} {use.key!r}" for use in users)
    few = list(names)[:5]
    return ", ".join(few) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
