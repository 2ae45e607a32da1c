"""A flag as it is sent and shown in REST."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from chassis.http import Body, Page, View
from flags.api.rule_views import Part, Prerequisites, Rules, Targets
from flags.api.words import Description, FlagKey, Name, Reason, Tag, VariantName
from flags.domain.analyse import doubts
from flags.domain.edits import change_of
from flags.domain.flag import TARGETING, Change, Draft, Flag, Lifecycle
from flags.domain.values import FlagType

Variants = Annotated[dict[VariantName, JsonValue], Field(min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=50)]


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
    json_schema: Part | None = None
    prerequisites: Prerequisites = Field(default_factory=list[Part])
    targets: Targets = Field(default_factory=list[Part])
    rules: Rules = Field(default_factory=list[Part])


class FlagEdit(Body):
    """What is to be different; what is absent stays. What a flag serves, and to whom, is about one environment."""

    name: Name = Field(default_factory=str)
    description: Description = Field(default_factory=str)
    variants: Variants = Field(default_factory=dict[str, JsonValue])
    tags: Tags = Field(default_factory=list[str])
    lifecycle: Literal["draft", "active", "stale", "archived"] = Field(
        default_factory=lambda: "active"
    )
    client_side: bool = Field(default_factory=bool)
    default_variant: VariantName = Field(default_factory=str)
    off_variant: VariantName = Field(default_factory=str)
    json_schema: Part | None = None
    prerequisites: Prerequisites = Field(default_factory=list[Part])
    targets: Targets = Field(default_factory=list[Part])
    rules: Rules = Field(default_factory=list[Part])


class FlagPatch(FlagEdit):
    """What is to change, and why."""

    reason: Reason = ""


class StatusEdit(FlagEdit):
    """What is to be different, the status in the environment too."""

    status: Literal["enabled", "disabled"] = Field(default_factory=lambda: "disabled")


class FindingView(View):
    """Something in the rules that looks like a mistake."""

    severity: str
    pointer: str
    message: str
    code: str


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
    """A flag as clients see it, with what it serves, and to whom, in `environment`; lists leave the rules out."""

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
    json_schema: dict[str, Any] | None = None
    project: str
    environment: str
    targeted: bool
    prerequisites: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    targets: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    rules: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    warnings: list[FindingView] = Field(default_factory=list[FindingView])
    environments: dict[str, SwitchView]
    version: int
    created_at: datetime
    updated_at: datetime


class FlagPage(Page[FlagView]):
    """A page of flags."""


def shown(flag: Flag, environment: str) -> FlagView:
    """Return the flag as clients see it, seen from one environment, with its rules there."""
    targeting = flag.switch(environment).targeting
    warnings = [FindingView.model_validate(found) for found in doubts(targeting)]
    schema = None if flag.schema is None else dict(flag.schema)
    return listed(flag, environment).model_copy(
        update={"warnings": warnings, "json_schema": schema, **targeting}
    )


def listed(flag: Flag, environment: str) -> FlagView:
    """Return the flag as a list shows it, seen from one environment."""
    switch = flag.switch(environment)
    return FlagView(
        **{name: getattr(flag, name) for name in _SAME},
        status=switch.status,
        default_variant=switch.default_variant,
        off_variant=switch.off_variant,
        variants=dict(flag.variants),
        tags=list(flag.tags),
        environment=environment,
        targeted=bool(switch.targeting),
        environments={key: SwitchView.model_validate(s) for key, s in flag.switches.items()},
    )


_SAME = tuple(
    name
    for name in FlagView.model_fields
    if name in Flag.__dataclass_fields__ and name not in ("variants", "tags")
)


def draft(body: FlagBody) -> Draft:
    """Return what a client says of a new flag."""
    said = body.model_dump(exclude={"type", "tags", "lifecycle", "json_schema", *TARGETING})
    return Draft(
        **said,
        schema=body.json_schema,
        prerequisites=tuple(body.prerequisites),
        targets=tuple(body.targets),
        rules=tuple(body.rules),
        type=FlagType(body.type),
        tags=_unique(body.tags),
        lifecycle=Lifecycle(body.lifecycle),
    )


def change(body: FlagPatch) -> Change:
    """Return what a client wants to be different."""
    return change_of(body.model_dump(exclude_unset=True, exclude={"reason"}))


def _unique(tags: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))
