"""What the REST doors have in common: how keys, names and places are written."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import StringConstraints

# Segments never begin with a dot, so that no key changes when a proxy tidies up its path.
FLAG_KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
PATH_KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SLUG = r"^[a-z0-9][a-z0-9-]*$"
NO_NUL = r"^[^\x00]*$"

FlagKey = Annotated[str, StringConstraints(pattern=FLAG_KEY, max_length=100)]
Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=63)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=NO_NUL)
]
Description = Annotated[str, StringConstraints(max_length=2000)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=50)]
VariantName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Reason = Annotated[str, StringConstraints(max_length=1000)]
Text = Annotated[str, StringConstraints(pattern=NO_NUL, max_length=200)]

# For operations without a name in the path, which answer 404 for a project or an environment that is not there.
NO_PLACE: dict[str, Any] = {"x-errors": [404]}

ProjectQuery = Annotated[Slug | None, Query(description="The project's key; `default` if absent.")]
EnvironmentQuery = Annotated[
    Slug | None, Query(description="The environment's key; `production` if absent.")
]
