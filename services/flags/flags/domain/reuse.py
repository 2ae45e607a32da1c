"""What of the ruleset before can be served on: a change of one flag compiles one flag, not thousands.

A compiled flag is made of its stored form, and of the segments that it reaches, through other segments too. Where both
are what they were, it is taken over as it is, and so is a compiled segment. Whether they are is told from their exact
forms (1, 1.0 and true are three). What other flags serve is asked for anew each time, and need not be looked at.
"""

import marshal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from flags.domain.compile import Compiler, StoredSegment

SPARE = 1_000  # closures that may lie about unused, beside as many as there are in use, before all is made anew


@dataclass(frozen=True, slots=True)
class Made:
    """What a ruleset was made with. `forms` are those of the flags that are served as they are stored.

    `whole` is how many closures a compiler had when everything was last compiled.
    """

    compiler: Compiler
    forms: Mapping[str, bytes]
    whole: int

    @property
    def worn(self) -> bool:
        """Tell whether too many closures of what is no more are still shared out."""
        return self.compiler.size > 2 * self.whole + SPARE


@dataclass(slots=True)
class Reuse:
    """What can be taken over into the next ruleset: flags with the same form that reach no segment that `changed`."""

    compiler: Compiler
    before: Made | None = None
    changed: frozenset[str] = frozenset()
    forms: dict[str, bytes] = field(default_factory=dict[str, bytes])

    def holds(self, key: str, form: bytes | None, reached: frozenset[str]) -> bool:
        """Tell whether a flag, which has this form now and reached these segments, is served on as it is."""
        if self.before is None or form is None or self.before.forms.get(key) != form:
            return False
        return not reached & self.changed

    def made(self) -> Made:
        """Return what the next ruleset is made with."""
        return Made(
            self.compiler, self.forms, self.before.whole if self.before else self.compiler.size
        )


def reuse(before: Made | None, segments: Iterable[StoredSegment]) -> Reuse:
    """Return what can be taken over where these are the segments now."""
    known = {segment.key: segment for segment in segments}
    if before is None or before.worn:
        return Reuse(Compiler(known))
    old = before.compiler.segments
    changed = frozenset(
        key for key in {*old, *known} if not _same_segment(old.get(key), known.get(key))
    )
    return Reuse(before.compiler.continued(known, changed), before, changed)


def form_of(document: Any) -> bytes | None:  # noqa: ANN401 - data of any form
    """Return a digest of plain data, types and all; None of what is no plain data."""
    try:
        # Version 2 depends on nothing but the values: later ones tell also which of them are one object.
        return blake2b(marshal.dumps(document, 2), digest_size=16).digest()
    except ValueError:
        return None


def _same_segment(one: StoredSegment | None, other: StoredSegment | None) -> bool:
    if one is None or other is None:
        return False
    form = form_of(one.document)
    return (
        form is not None
        and form == form_of(other.document)
        and one.included == other.included
        and one.excluded == other.excluded
    )
