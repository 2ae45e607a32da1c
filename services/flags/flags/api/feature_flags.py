"""Managing flags, in REST."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, JsonValue

from chassis.http import (
    Asking,
    Body,
    Expected,
    Paging,
    View,
    doors,
    etag,
    given,
    needs,
    tagged,
)
from flags.api.words import (
    PATH_KEY,
    Description,
    EnvironmentQuery,
    FlagKey,
    Name,
    ProjectQuery,
    Reason,
    Tag,
    Text,
    VariantName,
)
from flags.domain.flag import Change, Draft, Flag, Lifecycle
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
Variants = Annotated[dict[VariantName, JsonValue], Field(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=50)]


# --- what is sent and shown ---------------------------------------------------------------------------------------


class FlagBody(Body):
    """A flag to be made: `{key, name}` makes a boolean one with the variants on and off."""

    key: FlagKey
    name: Name
    description: Description = ""
    type: Literal["boolean", "string", "integer", "float", "json"] = "boolean"
    variants: Variants | None = None
    default_variant: VariantName | None = None
    off_variant: VariantName | None = None
    tags: Tags = Field(default_factory=list[str])
    lifecycle: Literal["draft", "active"] = "active"
    client_side: bool = False


class FlagPatch(Body):
    """What is to change; what is absent stays. The last two are about one environment."""

    name: Name = Field(default_factory=str)
    description: Description = Field(default_factory=str)
    variants: Variants = Field(default_factory=dict[str, JsonValue])
    tags: Tags = Field(default_factory=list[str])
    lifecycle: Literal["draft", "active", "archived"] = Field(default_factory=lambda: "active")
    client_side: bool = Field(default_factory=bool)
    default_variant: VariantName = Field(default_factory=str)
    off_variant: VariantName = Field(default_factory=str)


class ReasonBody(Body):
    """Why the flag is being switched."""

    reason: Reason = ""


class SwitchView(View):
    """What a flag does in one environment."""

    status: str
    default_variant: str
    off_variant: str
    version: int


class FlagView(View):
    """A flag as clients see it. `status`, `default_variant` and `off_variant` are those in `environment`."""

    id: UUID
    key: str
    name: str
    description: str
    type: str
    status: str
    variants: dict[str, Any]
    default_variant: str
    off_variant: str
    owner_id: str
    tags: list[str]
    lifecycle: str
    client_side: bool
    project: str
    environment: str
    environments: dict[str, SwitchView]
    version: int
    created_at: datetime
    updated_at: datetime


class FlagPage(View):
    """A page of flags."""

    items: list[FlagView]
    total: int | None = None
    page: int | None = None
    limit: int | None = None
    has_more: bool | None = None
    next_cursor: str | None = None


def shown(flag: Flag, environment: str) -> FlagView:
    """Return the flag as clients see it, seen from one environment."""
    switch = flag.switch(environment)
    return FlagView(
        **{name: getattr(flag, name) for name in _SAME},
        status=switch.status,
        default_variant=switch.default_variant,
        off_variant=switch.off_variant,
        variants=dict(flag.variants),
        tags=list(flag.tags),
        environment=environment,
        environments={key: SwitchView.model_validate(s) for key, s in flag.switches.items()},
    )


_SAME = tuple(
    name
    for name in FlagView.model_fields
    if name in Flag.__dataclass_fields__ and name not in ("variants", "tags")
)


# --- where, and which ---------------------------------------------------------------------------------------------


def _place(
    caller: Asking, project: ProjectQuery = None, environment: EnvironmentQuery = None
) -> Place:
    return place_of(caller, project, environment)


Where = Annotated[Place, Depends(_place)]


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


def _aim(flag: FlagPath, where: Where, version: Expected) -> Aim:
    return Aim(flag=flag, place=where, version=version)


Aimed = Annotated[Aim, Depends(_aim)]


# --- the doors ----------------------------------------------------------------------------------------------------


@router.get("", response_model=FlagPage, response_model_exclude_unset=True, **needs("flag:read"))
async def list_flags(
    caller: Asking, where: Where, query: Annotated[FlagQuery, Query()], pager: Paging, flags: Uses
) -> dict[str, Any]:
    """List flags; `status` and the status shown are those in the chosen environment."""
    part = await flags.page(caller, where, query.wanted(where.environment), pager.ask)
    return pager.render(part, lambda flag: shown(flag, where.environment))


@router.post("", response_model=FlagView, status_code=201, **needs("flag:create"))
async def create_flag(
    body: FlagBody, caller: Asking, where: Where, flags: Uses, response: Response
) -> FlagView:
    """Make a flag, disabled in every environment."""
    flag = await flags.create(caller, where, _draft(body))
    response.headers["location"] = f"{router.prefix}/{flag.id}"
    response.headers["etag"] = etag(flag.version)
    return shown(flag, where.environment)


@router.get("/{flag}", response_model=FlagView, **needs("flag:read"))
async def get_flag(
    flag: FlagPath, caller: Asking, where: Where, flags: Uses, request: Request, response: Response
) -> FlagView | Response:
    """Return one flag."""
    found = await flags.get(caller, where, flag)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return shown(found, where.environment)


@router.patch("/{flag}", response_model=FlagView, **needs("flag:update"))
async def update_flag(
    body: FlagPatch, caller: Asking, aim: Aimed, flags: Uses, response: Response
) -> FlagView:
    """Change a flag. To switch it, use toggle, enable or disable."""
    flag = await flags.update(caller, aim, _change(body))
    response.headers["etag"] = etag(flag.version)
    return shown(flag, aim.place.environment)


@router.delete("/{flag}", status_code=204, **needs("flag:delete"))
async def delete_flag(caller: Asking, aim: Aimed, flags: Uses) -> None:
    """Forget a flag: clients fall back to the default in their code."""
    await flags.delete(caller, aim)


@router.post("/{flag}/toggle", response_model=FlagView, **needs("flag:toggle"))
async def toggle_flag(
    caller: Asking, aim: Aimed, flags: Uses, response: Response, body: ReasonBody | None = None
) -> FlagView:
    """Switch a flag over in one environment."""
    return _switched(await flags.toggle(caller, _because(aim, body)), aim, response)


@router.post("/{flag}/enable", response_model=FlagView, **needs("flag:toggle"))
async def enable_flag(
    caller: Asking, aim: Aimed, flags: Uses, response: Response, body: ReasonBody | None = None
) -> FlagView:
    """Have a flag enabled in one environment, whatever it was before."""
    return _switched(await flags.enable(caller, _because(aim, body)), aim, response)


@router.post("/{flag}/disable", response_model=FlagView, **needs("flag:toggle"))
async def disable_flag(
    caller: Asking, aim: Aimed, flags: Uses, response: Response, body: ReasonBody | None = None
) -> FlagView:
    """Have a flag disabled in one environment, whatever it was before."""
    return _switched(await flags.disable(caller, _because(aim, body)), aim, response)


def _because(aim: Aim, body: ReasonBody | None) -> Aim:
    return replace(aim, reason=body.reason) if body else aim


def _switched(flag: Flag, aim: Aim, response: Response) -> FlagView:
    response.headers["etag"] = etag(flag.version)
    return shown(flag, aim.place.environment)


def _draft(body: FlagBody) -> Draft:
    said = body.model_dump(exclude={"type", "tags", "lifecycle"})
    return Draft(
        **said,
        type=FlagType(body.type),
        tags=_unique(body.tags),
        lifecycle=Lifecycle(body.lifecycle),
    )


_OF_THE_SWITCH = {"default_variant", "off_variant"}


def _change(body: FlagPatch) -> Change:
    said = body.model_dump(exclude_unset=True)
    switch = {name: said.pop(name) for name in _OF_THE_SWITCH & said.keys()}
    if "tags" in said:
        said["tags"] = _unique(body.tags)
    if "lifecycle" in said:
        said["lifecycle"] = Lifecycle(body.lifecycle)
    return Change(flag=said, switch=switch)


def _unique(tags: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))
