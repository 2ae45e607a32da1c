"""Managing flags, in REST."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel

from chassis.http import (
    TAGGED,
    Asking,
    Paging,
    doors,
    given,
    needs_somewhere,
)
from flags.api.flag_tags import ExpectedFlag, known_already, tag_of
from flags.api.flag_views import (
    FlagBody,
    FlagPage,
    FlagPatch,
    FlagView,
    ReasonBody,
    change,
    draft,
    listed,
    shown,
)
from flags.api.words import (
    NO_PLACE,
    PATH_KEY,
    EnvironmentQuery,
    ProjectQuery,
    Text,
)
from flags.domain.flag import Flag, Lifecycle
from flags.domain.listing import Order, SortField, Wanted
from flags.domain.place import Place, place_of
from flags.domain.values import FlagType
from flags.usecases.flags import Aim, Flags

router = doors("/api/v1/feature-flags", "flags")
Uses = Annotated[Flags, given(Flags)]
FlagPath = Annotated[
    str,
    Path(
        pattern=PATH_KEY,
        max_length=100,
        description="The flag's id or key; a flag whose key contains `/` is reached by its id.",
    ),
]

# --- where, and which ---------------------------------------------------------------------------------------------


async def placed(
    caller: Asking, project: ProjectQuery = None, environment: EnvironmentQuery = None
) -> Place:
    """Return the place that a request means."""
    return place_of(caller, project, environment)


Where = Annotated[Place, Depends(placed)]


class FlagQuery(BaseModel):
    """Which flags, in which order."""

    search: Text | None = None
    status: Literal["enabled", "disabled"] | None = None
    type: FlagType | None = None
    lifecycle: Lifecycle | None = None
    tag: Text | None = None
    owner: Text | None = None
    sort: Literal[
        "key", "-key", "name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"
    ] = "-created_at"

    def wanted(self, environment: str) -> Wanted:
        """Return the filter that is meant."""
        field: SortField = self.sort.removeprefix("-")  # type: ignore[assignment]
        return Wanted(
            environment=environment,
            search=self.search,
            enabled=None if self.status is None else self.status == "enabled",
            type=self.type,
            lifecycle=self.lifecycle,
            tag=self.tag,
            owner_id=self.owner,
            order=Order(field, descending=self.sort.startswith("-")),
        )


async def aimed(flag: FlagPath, where: Where, version: ExpectedFlag) -> Aim:
    """Return which flag a request means, where, in which version."""
    return Aim(flag=flag, place=where, version=version)


Aimed = Annotated[Aim, Depends(aimed)]


# --- the doors ----------------------------------------------------------------------------------------------------


@router.get(
    "",
    response_model=FlagPage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read", **NO_PLACE),
)
async def list_flags(
    caller: Asking, where: Where, query: Annotated[FlagQuery, Query()], pager: Paging, flags: Uses
) -> dict[str, Any]:
    """List flags; `status` and the status shown are those in the chosen environment."""
    part = await flags.page(caller, where, query.wanted(where.environment), pager.ask)
    return pager.render(part, lambda flag: listed(flag, where.environment))


@router.post(
    "", response_model=FlagView, status_code=201, **needs_somewhere("flag:create", **NO_PLACE)
)
async def create_flag(
    body: FlagBody, caller: Asking, where: Where, flags: Uses, response: Response
) -> FlagView:
    """Make a flag, disabled in every environment."""
    flag = await flags.create(caller, where, draft(body))
    response.headers["location"] = f"{router.prefix}/{flag.id}"
    response.headers["etag"] = tag_of(flag)
    return shown(flag, where.environment)


@router.get("/{flag}", response_model=FlagView, responses=TAGGED, **needs_somewhere("flag:read"))
async def get_flag(
    flag: FlagPath, caller: Asking, where: Where, flags: Uses, request: Request, response: Response
) -> FlagView | Response:
    """Return one flag."""
    found = await flags.get(caller, where, flag)
    if known_already(request, response, found):
        return Response(status_code=304, headers=dict(response.headers))
    return shown(found, where.environment)


@router.patch("/{flag}", response_model=FlagView, **needs_somewhere("flag:update"))
async def update_flag(
    body: FlagPatch, caller: Asking, aim: Aimed, flags: Uses, response: Response
) -> FlagView:
    """Change a flag. To switch it, use toggle, enable or disable."""
    flag = await flags.update(caller, replace(aim, reason=body.reason), change(body))
    response.headers["etag"] = tag_of(flag)
    return shown(flag, aim.place.environment)


@router.delete("/{flag}", status_code=204, **needs_somewhere("flag:delete"))
async def delete_flag(caller: Asking, aim: Aimed, flags: Uses) -> None:
    """Forget a flag: clients fall back to the default in their code."""
    await flags.delete(caller, aim)


@router.post("/{flag}/toggle", response_model=FlagView, **needs_somewhere("flag:toggle"))
async def toggle_flag(
    caller: Asking, aim: Aimed, flags: Uses, response: Response, body: ReasonBody | None = None
) -> FlagView:
    """Switch a flag over in one environment."""
    return switched(await flags.toggle(caller, _because(aim, body)), aim, response)


@router.post("/{flag}/enable", response_model=FlagView, **needs_somewhere("flag:toggle"))
async def enable_flag(
    caller: Asking, aim: Aimed, flags: Uses, response: Response, body: ReasonBody | None = None
) -> FlagView:
    """Have a flag enabled in one environment, whatever it was before."""
    return switched(await flags.enable(caller, _because(aim, body)), aim, response)


@router.post("/{flag}/disable", response_model=FlagView, **needs_somewhere("flag:toggle"))
async def disable_flag(
    caller: Asking, aim: Aimed, flags: Uses, response: Response, body: ReasonBody | None = None
) -> FlagView:
    """Have a flag disabled in one environment, whatever it was before."""
    return switched(await flags.disable(caller, _because(aim, body)), aim, response)


def _because(aim: Aim, body: ReasonBody | None) -> Aim:
    return replace(aim, reason=body.reason) if body else aim


def switched(flag: Flag, aim: Aim, response: Response) -> FlagView:
    """Return a changed flag as clients see it, with its new ETag."""
    response.headers["etag"] = tag_of(flag)
    return shown(flag, aim.place.environment)
