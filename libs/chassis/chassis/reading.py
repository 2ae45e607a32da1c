"""How a request is read before FastAPI reads it: strictly, and with words that say what to send instead."""

from collections.abc import Collection

from fastapi import Request
from fastapi.dependencies.models import Dependant

from chassis import strictjson
from chassis.errors import FieldError, Invalid, Unsupported


class BadQuery(Invalid):
    """The query says a parameter twice, one that a changing operation does not have, or holds a NUL character."""

    code = "bad_query"


class StrictRequest(Request):
    """A request whose query and JSON are read strictly, and before FastAPI would rename what is wrong with them."""

    def check_query(self) -> None:
        """Refuse a parameter that is there twice (readers disagree on which counts) or that no store can hold."""
        seen = set[str]()
        for name, value in self.query_params.multi_items():
            twice = name in seen
            if twice or "\x00" in name or "\x00" in value:
                why = "is given more than once; send it once" if twice else "holds a NUL character"
                shown = name[:64].replace("\x00", "\ufffd")
                wrong = FieldError(f"query:{shown}", why, "repeated" if twice else "nul")
                raise BadQuery(f"the query parameter {shown!r} {why}", errors=(wrong,))
            seen.add(name)

    def check_known(self, known: Collection[str]) -> None:
        """Refuse a parameter that the operation does not have: one with a typo would change something else."""
        for name in self.query_params:
            if name not in known:
                why = f"is not a parameter here; known are: {', '.join(sorted(known)) or 'none'}"
                wrong = FieldError(f"query:{name[:64]}", why, "unknown")
                raise BadQuery(f"the query parameter {name[:64]!r} {why}", errors=(wrong,))

    async def read_json(self, *, needed: bool) -> None:
        """Read a JSON body; BadJson if there are tricks in it, Unsupported if it is none where one is `needed`."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if is_json(kind):
            if body := await self.body():
                self._json = strictjson.loads(body)
        elif needed and await self.body():
            said = f"not as {kind[:64]}" if kind else "and say so"
            raise Unsupported(f"send the body as JSON, {said}: content-type: application/json")


def queried(dependant: Dependant) -> set[str]:
    """Return the query parameters of a route and of what it depends on."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(queried, dependant.dependencies))


def is_json(kind: str) -> bool:
    """Tell whether a media type is one of JSON's."""
    main, _, sub = kind.partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))
