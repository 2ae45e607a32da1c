"""The REST doors of schedules."""

from dataclasses import replace
from typing import Annotated

from fastapi import Request, Response

from chassis.http import Asking, doors, given, needs, needs_somewhere
from experiments.api.experiments import PREFIX, shown
from experiments.api.views import (
    Aimed,
    ExperimentView,
    ProcessedView,
    ScheduleBody,
    ScheduledMoveView,
)
from experiments.domain.moves import Step
from experiments.domain.schedule import Plan
from experiments.usecases.experiments import Schedules

router = doors(PREFIX, "experiments")
Uses = Annotated[Schedules, given(Schedules)]


@router.post("/schedules/process", response_model=ProcessedView, **needs("experiment:process"))
async def process_schedules(caller: Asking, uses: Uses) -> ProcessedView:
    """Write down now what the clock has done; the scheduler does so by itself."""
    steps = await uses.process(caller)
    return ProcessedView(processed=len(steps), moves=[_view(step) for step in steps])


@router.put(
    "/{experiment}/schedule",
    response_model=ExperimentView,
    **needs_somewhere("experiment:schedule"),
)
async def schedule_experiment(
    aimed: Aimed,
    body: ScheduleBody,
    caller: Asking,
    uses: Uses,
    request: Request,
    response: Response,
) -> ExperimentView:
    """Set or replace when an experiment begins and ends."""
    intent = replace(aimed, reason=body.reason)
    plan = Plan(start=body.start_date, end=body.end_date, zone=body.time_zone, fold=body.fold)
    return shown(await uses.set(caller, intent, plan), request, response)


@router.delete("/{experiment}/schedule", status_code=204, **needs_somewhere("experiment:schedule"))
async def unschedule_experiment(aimed: Aimed, caller: Asking, uses: Uses) -> None:
    """Take the dates off an experiment."""
    await uses.remove(caller, aimed)


def _view(step: Step) -> ScheduledMoveView:
    return ScheduledMoveView(
        experiment_id=step.after.id,
        key=step.after.key,
        move=step.move.name,
        status=step.after.status,
        at=step.after.updated_at,
    )
