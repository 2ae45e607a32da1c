"""Whose an experiment is, and where: who may do what to it.

An experiment is in a project, and so are the roles that hold there. An API key that is bound to a place reaches no
experiment of another one.
"""

from dataclasses import replace

from authz.standing import Thing
from chassis.caller import Caller
from experiments.domain.errors import ExperimentNotFound, OtherPlace
from experiments.domain.experiment import Experiment
from experiments.domain.trial import Trial
from experiments.ports import Wanted


def allowed(caller: Caller, permission: str, found: Experiment | None, name: str) -> Experiment:
    """Return an experiment that is there and to which the caller may do this."""
    missing = ExperimentNotFound(f"there is no experiment {name!r}")
    if found is None or elsewhere(caller, found):
        raise missing
    caller.must_over(permission, _thing(found), missing)
    return found


def readable(caller: Caller, found: Trial | None, name: str) -> Trial:
    """Return an experiment as its data see it, that is there and that the caller may read."""
    missing = ExperimentNotFound(f"there is no experiment {name!r}")
    if found is None or elsewhere(caller, found):
        raise missing
    caller.must_over("experiment:read", _thing(found), missing)
    return found


def elsewhere(caller: Caller, it: Experiment | Trial) -> bool:
    """Tell whether an experiment is in another place than the caller's key is bound to."""
    return (caller.project or it.project, caller.environment or it.environment) != (
        it.project,
        it.environment,
    )


def must_be_there(caller: Caller, permission: str, it: Experiment) -> None:
    """Refuse to bring an experiment to where the caller may not do this, or may not be at all."""
    caller.must(permission, project=it.project)
    if elsewhere(caller, it):
        raise _bound(caller)


def listed(caller: Caller, wanted: Wanted) -> Wanted:
    """Return what the caller gets of what is wanted: all, or one's own and those of projects; refuse if nothing.

    A key that is bound to a place is refused the list of another one.
    """
    asked = wanted.project or caller.project, wanted.environment or caller.environment
    if asked != (caller.project or asked[0], caller.environment or asked[1]):
        raise _bound(caller)
    wanted = replace(wanted, project=asked[0], environment=asked[1])
    if caller.may("experiment:read", Thing(project=wanted.project)):
        return wanted
    slugs = caller.held.projects
    mine = tuple(slug for slug in slugs if caller.may("experiment:read", Thing(project=slug)))
    if wanted.project or not mine:
        return replace(
            wanted, owner_id=caller.must_or_own("experiment:read", project=wanted.project)
        )
    return replace(wanted, owner_id=caller.owner, projects=mine)


def _bound(caller: Caller) -> OtherPlace:
    where = " of ".join(filter(None, (caller.environment, caller.project)))
    return OtherPlace(f"this API key is bound to {where}, and reaches no other place")


def _thing(it: Experiment | Trial) -> Thing:
    return Thing(it.owner_id, it.project, str(it.id))
