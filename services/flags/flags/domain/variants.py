"""The variants of a flag: how many there may be, of which type, and in which form they are served."""

from collections.abc import Mapping
from typing import Any

from chassis.errors import FieldError
from flags.domain.errors import BadSchema, BadVariants
from flags.domain.schema import Effort, check_schema, misfit
from flags.domain.values import MEANT, FlagType, Variants, as_served, fits
from flags.domain.wrong import Wrong, escaped

MOST_VARIANTS = 100


def all_as_served(kind: FlagType, variants: Variants) -> Variants:
    """Return variants in the form in which they are served; BadVariants if they are not of the type."""
    must_fit(kind, variants)
    return {name: as_served(kind, value) for name, value in variants.items()}


def must_fit(kind: FlagType, variants: Variants) -> None:
    """Refuse variants that are none, too many, or not of the type; name each that is wrong."""
    if not 1 <= len(variants) <= MOST_VARIANTS:
        raise BadVariants(
            f"a flag of type {kind} needs 1 to {MOST_VARIANTS} variants: send `variants` as {{name: value}}",
            errors=(FieldError("/variants", f"between 1 and {MOST_VARIANTS} are needed"),),
        )
    wrong = [name for name, value in variants.items() if not fits(kind, value)]
    if wrong:
        errors = tuple(
            FieldError(f"/variants/{escaped(n)}", f"must be {MEANT[kind]}") for n in wrong
        )
        raise BadVariants(f"variant {wrong[0]!r} must be {MEANT[kind]}", errors=errors)


def must_follow(kind: FlagType, schema: Mapping[str, Any] | None, variants: Variants) -> None:
    """Refuse a schema that is not one, and variants that break it."""
    if schema is None:
        return
    if kind is not FlagType.JSON:
        raise BadSchema("only a flag of type json has a schema")
    try:
        check_schema(dict(schema))
    except Wrong as wrong:
        error = FieldError(f"/json_schema{wrong.pointer}", wrong.message)
        raise BadSchema(f"json_schema{wrong}", errors=(error,)) from None
    effort = Effort()
    found = {name: misfit(dict(schema), value, effort) for name, value in variants.items()}
    errors = tuple(
        FieldError(f"/variants/{escaped(name)}{wrong.pointer}", wrong.message)
        for name, wrong in found.items()
        if wrong
    )
    if errors:
        raise BadVariants("a variant breaks the flag's JSON Schema", errors=errors)
