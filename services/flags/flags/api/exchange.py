"""A project as one document, in REST: export, diff, import."""

from typing import Annotated, Any, Literal

import orjson
import yaml
from fastapi import Query, Response
from pydantic import Field, JsonValue

from chassis.http import Asking, Body, View, doors, given, needs_somewhere
from flags.api.flag_views import Tags, Variants
from flags.api.past_flags import DifferenceView
from flags.api.rule_views import Condition, Part, Prerequisites, Rules, Targets
from flags.api.segments import AttributeName, Ids, Kind, SegmentKey
from flags.api.words import (
    NO_NUL,
    NO_PLACE,
    Description,
    FlagKey,
    Name,
    ProjectQuery,
    Slug,
    VariantName,
)
from flags.domain.bucketing import NEWEST
from flags.domain.context import UNIT
from flags.domain.place import place_of
from flags.domain.whole import Plan
from flags.usecases.exchange import MOST_FLAGS, Exchange

router = doors("/api/v1", "exchange")
Uses = Annotated[Exchange, given(Exchange)]
LARGE: dict[str, Any] = {"x-body-limit": 8 << 20, "x-timeout": 30}
Prune = Annotated[
    bool, Query(description="Delete flags and segments that the document does not name.")
]


class EnvironmentDocument(Body):
    """An environment; made if it is missing, else left as it is."""

    key: Slug
    name: Name
    approvals: Annotated[int, Field(ge=0, le=10)] = 0


class SegmentDocument(Body):
    """A segment with its lists."""

    key: SegmentKey
    name: Name
    description: Description = ""
    attribute: AttributeName = UNIT
    kind: Kind = "user"
    when: Condition | None = None
    included: Ids = Field(default_factory=list[str])
    excluded: Ids = Field(default_factory=list[str])


class SwitchDocument(Body):
    """What a flag does in one environment."""

    status: Literal["enabled", "disabled"] = "disabled"
    default_variant: VariantName
    off_variant: VariantName
    prerequisites: Prerequisites = Field(default_factory=list[Part])
    targets: Targets = Field(default_factory=list[Part])
    rules: Rules = Field(default_factory=list[Part])


class FlagDocument(Body):
    """A flag, with what it does in the environments that are named. Type, salt and bucketing stay once it is made."""

    key: FlagKey
    name: Name
    description: Description = ""
    type: Literal["boolean", "string", "integer", "float", "json"] = "boolean"
    variants: Variants
    tags: Tags = Field(default_factory=list[str])
    lifecycle: Literal["draft", "active", "stale", "archived"] = "active"
    client_side: bool = False
    json_schema: dict[str, JsonValue] | None = None
    salt: Annotated[str, Field(max_length=100, pattern=NO_NUL)] | None = None
    bucketing: Annotated[int, Field(ge=1, le=NEWEST)] | None = None
    environments: Annotated[dict[Slug, SwitchDocument], Field(max_length=50)] = Field(
        default_factory=dict[str, SwitchDocument]
    )


class ProjectDocument(Body):
    """Everything that flags keeps of a project."""

    format: Literal["switchyard.flags/1"]
    environments: Annotated[list[EnvironmentDocument], Field(max_length=50)] = Field(
        default_factory=list[EnvironmentDocument]
    )
    segments: Annotated[list[SegmentDocument], Field(max_length=1000)] = Field(
        default_factory=list[SegmentDocument]
    )
    flags: Annotated[list[FlagDocument], Field(max_length=MOST_FLAGS)] = Field(
        default_factory=list[FlagDocument]
    )


class StepView(View):
    """What is done to one environment, segment or flag (create, update, delete), and where it differs."""

    kind: str
    key: str
    action: str
    differences: list[DifferenceView]


class PlanView(View):
    """What it takes, or took, for the project to be as the document says; nothing if it is so already."""

    applied: bool
    steps: list[StepView]


@router.get(
    "/export",
    response_model=ProjectDocument,
    **needs_somewhere("flag:read", **{**NO_PLACE, "x-timeout": 30}),
)
async def export_project(
    caller: Asking,
    uses: Uses,
    project: ProjectQuery = None,
    form: Annotated[Literal["json", "yaml"], Query(alias="format")] = "json",
) -> Response:
    """Return a project's environments, segments and flags as one document, in JSON or YAML."""
    said = await uses.export(caller, place_of(caller, project, None).project)
    if form == "json":
        return Response(orjson.dumps(said), media_type="application/json")
    return Response(as_yaml(said), media_type="application/yaml")


@router.post(
    "/import", response_model=PlanView, **needs_somewhere("flag:update", **NO_PLACE, **LARGE)
)
async def import_project(
    body: ProjectDocument,
    caller: Asking,
    uses: Uses,
    project: ProjectQuery = None,
    dry_run: bool = False,
    prune: Prune = False,
) -> PlanView:
    """Have a project as a document says, all of it or nothing; with `dry_run`, tell only what that would take.

    Flags and segments that are not in the document stay, unless `prune` is asked for. Each step takes the permission
    that it takes alone, and environments that want approvals refuse it (409).
    """
    where, said = place_of(caller, project, None).project, body.model_dump()
    if dry_run:
        return _told(await uses.diff(caller, where, said, prune=prune), applied=False)
    return _told(await uses.bring_about(caller, where, said, prune=prune), applied=True)


def as_yaml(said: dict[str, Any]) -> str:
    """Return a document as YAML that reads back as the same."""
    return yaml.dump(said, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Quotes what cannot be seen: PyYAML writes a NEL bare, and would read it back as a space."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = None if data.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)  # type: ignore[reportUnknownMemberType]


_Dumper.add_representer(str, _Dumper.represent_str)


def _told(plan: Plan, *, applied: bool) -> PlanView:
    steps = [
        StepView(
            kind=step.kind,
            key=step.key,
            action=step.action,
            differences=[DifferenceView.model_validate(d) for d in step.differences],
        )
        for step in plan.steps
    ]
    return PlanView(applied=applied, steps=steps)
