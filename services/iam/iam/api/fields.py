"""The kinds of text that bodies hold, each with its bounds."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints, model_validator

from chassis.http import Body

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
PersonName = Annotated[str, StringConstraints(max_length=100)]
Email = Annotated[
    str,
    StringConstraints(min_length=3, max_length=254),
    Field(json_schema_extra={"format": "email"}),
]
# Printable without spaces; not an address, so that a name and an address are never taken for one another.
Username = Annotated[str, StringConstraints(pattern=r"^[^\s@\x00-\x1f\x7f]{1,64}$")]
Password = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
LoginName = Annotated[str, StringConstraints(min_length=1, max_length=254)]
Subdomain = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=512)]
# The name or the id of a role; tenants name their own as they like.
RoleName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$")]
PermissionName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}(:[a-z_]{1,40})?$")]
Note = Annotated[str, StringConstraints(max_length=1000)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Patch(Body):
    """What shall be different: what is not sent stays. Null means something for the `nullable` only."""

    nullable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _no_null(self) -> Self:
        for name in self.model_fields_set - self.nullable:
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null; leave it out to keep it")
        return self
