"""What is written is checked against its neighbours, in the transaction that writes it."""

from collections.abc import Iterable, Sequence

from chassis.errors import FieldError
from flags.domain.analyse import Finding, analyse, analyse_segment
from flags.domain.errors import BadRules
from flags.domain.flag import Flag
from flags.domain.place import Project
from flags.domain.segment import Segment
from flags.domain.uses import Use
from flags.ports import Work


async def check(work: Work, project: Project, flag: Flag, environments: Iterable[str]) -> None:
    """Refuse a flag whose targeting in one of these environments could not be served."""
    asked = [key for key in environments if flag.switch(key).targeting]
    if asked:
        await work.uses.hold(project)
    for environment in asked:
        neighbours = await work.uses.neighbours(project, environment)
        targeting = flag.switch(environment).targeting
        refuse(analyse(flag.key, flag.variants.keys(), targeting, neighbours))


async def check_segment(work: Work, project: Project, segment: Segment) -> None:
    """Refuse a segment that could not be served."""
    await work.uses.hold(project)
    for environment in project.environments:
        neighbours = await work.uses.neighbours(project, environment.key)
        refuse(analyse_segment(segment.key, segment.document, neighbours))


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
