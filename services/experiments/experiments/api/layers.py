"""The REST doors of layers and holdouts."""

from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import Depends, Path, Request, Response
from pydantic import Field

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    given,
    needs,
    needs_somewhere,
    tagged,
)
from experiments.api.experiments import Search, Sort
from experiments.api.plan_views import KEY, Key
from experiments.api.views import Name, Prose, Reason
from experiments.domain.layers import MOST_HELD, Holdout, Layer, Words
from experiments.ports.assigning import WantedNamed
from experiments.usecases.layers import Aim, Holdouts, Layers, Named

LAYERS, HOLDOUTS = "/api/v1/layers", "/api/v1/holdouts"
layers, holdouts = doors(LAYERS, "layers"), doors(HOLDOUTS, "holdouts")
UsesLayers = Annotated[Layers, given(Layers)]
UsesHoldouts = Annotated[Holdouts, given(Holdouts)]
LayerName = Annotated[str, Path(pattern=KEY, max_length=100, description="id or key")]
HoldoutName = Annotated[str, Path(pattern=KEY, max_length=100, description="id or key")]


async def _layer_aim(layer: LayerName, expected: Expected) -> Aim:
    return Aim(name=layer, version=expected)


async def _holdout_aim(holdout: HoldoutName, expected: Expected) -> Aim:
    return Aim(name=holdout, version=expected)


LayerAim = Annotated[Aim, Depends(_layer_aim)]
HoldoutAim = Annotated[Aim, Depends(_holdout_aim)]


class LayerBody(Body):
    """A new layer: experiments in it exclude each other."""

    key: Key
    name: Name
    description: Prose = ""


class HoldoutBody(LayerBody):
    """A new holdout; `share` are thousandths of a percent of all units."""

    share: Annotated[int, Field(ge=1, le=MOST_HELD)]


class WordsPatch(Body):
    """What is to change; what is not said stays."""

    name: Name = Field(default_factory=str)
    description: Prose = Field(default_factory=str)
    reason: Reason = ""


class TakenView(View):
    """Places that an experiment has, from `start` up to but not with `end`."""

    experiment: str
    start: int
    end: int


class LayerView(View):
    """A layer of 100000 places."""

    id: UUID
    key: str
    name: str
    description: str
    owner_id: str
    version: int
    created_at: datetime
    updated_at: datetime


class WholeLayerView(LayerView):
    """A layer with the places that are taken; places of experiments that are over are free again."""

    taken: list[TakenView]


class LayerPage(Page[LayerView]):
    """A part of a list of layers."""


class HoldoutView(LayerView):
    """A holdout; `share` are thousandths of a percent of all units."""

    share: int


class HoldoutPage(Page[HoldoutView]):
    """A part of a list of holdouts."""


@layers.post("", status_code=201, response_model=LayerView, **needs("experiment:create"))
async def create_layer(
    body: LayerBody, caller: Asking, uses: UsesLayers, request: Request, response: Response
) -> LayerView:
    """Make a layer."""
    named = Named(key=body.key, name=body.name, description=body.description)
    made = await uses.create(caller, named)
    response.headers["location"] = f"{LAYERS}/{made.id}"
    return _layer_shown(made, request, response)


@layers.get(
    "", response_model=LayerPage, response_model_exclude_unset=True, **needs("experiment:read")
)
async def list_layers(
    caller: Asking, uses: UsesLayers, pager: Paging, search: Search = "", sort: Sort = "key"
) -> Any:  # noqa: ANN401
    """List the tenant's layers, by key unless said."""
    wanted = WantedNamed(ask=pager.ask, search=search, sort=sort)
    return pager.render(await uses.page(caller, wanted), LayerView.model_validate)


@layers.get("/{layer}", response_model=WholeLayerView, **needs("experiment:read"))
async def read_layer(
    layer: LayerName, caller: Asking, uses: UsesLayers, request: Request, response: Response
) -> WholeLayerView:
    """Return a layer and who has which of its places."""
    found, slots = await uses.read(caller, layer)
    tagged(response, request, found.version)  # never 304: places come and go with experiments
    taken = [TakenView(experiment=key, start=slot.start, end=slot.end) for key, slot in slots]
    return WholeLayerView(**LayerView.model_validate(found).model_dump(), taken=taken)


@layers.patch("/{layer}", response_model=LayerView, **needs_somewhere("experiment:update"))
async def update_layer(
    aim: LayerAim,
    body: WordsPatch,
    caller: Asking,
    uses: UsesLayers,
    request: Request,
    response: Response,
) -> LayerView:
    """Change a layer's words."""
    after = await uses.update(caller, _with(aim, body), _words(body))
    return _layer_shown(after, request, response)


@layers.delete("/{layer}", status_code=204, **needs_somewhere("experiment:delete"))
async def delete_layer(aim: LayerAim, caller: Asking, uses: UsesLayers) -> None:
    """Forget a layer that no experiment names."""
    await uses.delete(caller, aim)


@holdouts.post("", status_code=201, response_model=HoldoutView, **needs("experiment:create"))
async def create_holdout(
    body: HoldoutBody, caller: Asking, uses: UsesHoldouts, request: Request, response: Response
) -> HoldoutView:
    """Hold a share of all units back from every phase that begins from now on."""
    named = Named(key=body.key, name=body.name, description=body.description, share=body.share)
    made = await uses.create(caller, named)
    response.headers["location"] = f"{HOLDOUTS}/{made.id}"
    return _holdout_shown(made, request, response)


@holdouts.get(
    "", response_model=HoldoutPage, response_model_exclude_unset=True, **needs("experiment:read")
)
async def list_holdouts(
    caller: Asking, uses: UsesHoldouts, pager: Paging, search: Search = "", sort: Sort = "key"
) -> Any:  # noqa: ANN401
    """List the tenant's holdouts, by key unless said."""
    wanted = WantedNamed(ask=pager.ask, search=search, sort=sort)
    return pager.render(await uses.page(caller, wanted), HoldoutView.model_validate)


@holdouts.get(
    "/{holdout}", response_model=HoldoutView, responses=TAGGED, **needs("experiment:read")
)
async def read_holdout(
    holdout: HoldoutName, caller: Asking, uses: UsesHoldouts, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return a holdout."""
    found = await uses.read(caller, holdout)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return HoldoutView.model_validate(found)


@holdouts.patch("/{holdout}", response_model=HoldoutView, **needs_somewhere("experiment:update"))
async def update_holdout(
    aim: HoldoutAim,
    body: WordsPatch,
    caller: Asking,
    uses: UsesHoldouts,
    request: Request,
    response: Response,
) -> HoldoutView:
    """Change a holdout's words; its share stays."""
    after = await uses.update(caller, _with(aim, body), _words(body))
    return _holdout_shown(after, request, response)


@holdouts.delete("/{holdout}", status_code=204, **needs_somewhere("experiment:delete"))
async def delete_holdout(aim: HoldoutAim, caller: Asking, uses: UsesHoldouts) -> None:
    """Let go of those held back: phases that begin from now on may have them."""
    await uses.delete(caller, aim)


def _with(aim: Aim, body: WordsPatch) -> Aim:
    return Aim(name=aim.name, version=aim.version, reason=body.reason)


def _words(body: WordsPatch) -> Words:
    said = {name: getattr(body, name) for name in body.model_fields_set - {"reason"}}
    return cast("Words", said)


def _layer_shown(layer: Layer, request: Request, response: Response) -> LayerView:
    tagged(response, request, layer.version)
    return LayerView.model_validate(layer)


def _holdout_shown(holdout: Holdout, request: Request, response: Response) -> HoldoutView:
    tagged(response, request, holdout.version)
    return HoldoutView.model_validate(holdout)
