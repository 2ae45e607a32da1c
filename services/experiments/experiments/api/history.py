"""The REST doors of what became of an experiment."""

from typing import Annotated

from chassis.http import Asking, doors, given, needs_somewhere
from experiments.api.experiments import PREFIX
from experiments.api.plan_views import (
    AllocationView,
    PhasesView,
    PlansView,
    allocation_view,
    phase_view,
    plan_state,
    planned_view,
)
from experiments.api.views import Named
from experiments.usecases.history import History

router = doors(PREFIX, "experiments")
Uses = Annotated[History, given(History)]


@router.get("/{experiment}/phases", response_model=PhasesView, **needs_somewhere("experiment:read"))
async def read_phases(experiment: Named, caller: Asking, uses: Uses) -> PhasesView:
    """Return the spans in which an experiment assigned its units in one and the same way."""
    found = await uses.phases(caller, experiment)
    return PhasesView(items=[phase_view(phase) for phase in found])


@router.get("/{experiment}/plan", response_model=PlansView, **needs_somewhere("experiment:read"))
async def read_plan(experiment: Named, caller: Asking, uses: Uses) -> PlansView:
    """Return the analysis plan: what was settled at the start, and every change since."""
    it, found = await uses.plans(caller, experiment)
    items = [planned_view(planned) for planned in found]
    return PlansView(**plan_state(it).model_dump(), items=items)


@router.get(
    "/{experiment}/allocation",
    response_model=AllocationView,
    **needs_somewhere("experiment:read"),
)
async def read_allocation(experiment: Named, caller: Asking, uses: Uses) -> AllocationView:
    """Return how far flags knows what this experiment wants of it."""
    return allocation_view(*await uses.publication(caller, experiment))
