"""The columns of the matrix: each asks an operation about a thing in every state."""

import asyncio
from dataclasses import dataclass

from tests.journeys import matrix
from tests.journeys.places import Place


@dataclass
class Asker:
    """A column of the table: a client, and what is their own."""

    name: str
    web: object
    home: Place
    abroad: Place
    id: str = ""
    handle: str = ""
    spare: object = None  # makes a client of somebody like them, whose sessions may end
    login: object = None  # logs them in once more; returns the session

    async def thing(self, kind, state):
        """Return (how a path names a thing in this state, what gives it back); None if it cannot be had."""
        if state == "missing":
            return matrix.missing(kind), None
        if kind == "organization":
            places = {"another": self.home.id, "foreign": self.abroad.id}
            return (places[state], None) if state in places else None
        if kind in ("vm", "flag_key", "template", "snapshot"):
            return None
        if state == "deleted":
            if kind in ("event", "session", "global/permissions"):
                return None
            return await self.home.deleted(kind), None
        if state == "own":
            return await self._own(kind)
        place = self.home if state == "another" else self.abroad
        if kind == "global/permissions" and state == "foreign":
            return None
        found = await place.take(kind)
        return found[state == "foreign"], lambda: place.stock[kind].append(found)

    async def _own(self, kind):
        if not self.handle:
            return None
        if kind in ("user", "global/users"):
            return (self.id if kind == "user" else self.handle), None
        if kind == "session":
            return await self.login(), None
        if kind == "key":
            made = await self.web.post("/api/v1/api-keys", json={"name": "k", "kind": "management"})
            return (made.json()["id"], None) if made.status_code == 201 else None
        if kind == "agent":
            made = await self.web.post("/api/v1/agents", json=matrix.an_agent(None))
            return (made.json()["id"], None) if made.status_code == 201 else None
        if kind.startswith("global/") and kind != "global/permissions":
            return (await self.home.make(kind, self.handle))[0], None
        return None

    async def try_all(self, operation, description):
        """Return what comes of an operation, in each state of its thing."""
        if description["security"] == []:
            return [await self._ask(operation, description)] * 5 if self.name == "nobody" else None
        if operation in matrix.ENDING and self.spare:
            return [await self._ask(operation, description, web=await self.spare())] * 5
        if (kind := kind_of(operation)) is None or self.name == "nobody":
            return [await self._ask(operation, description)] * 5
        return [await self._state(operation, description, kind, state) for state in matrix.STATES]

    async def _state(self, operation, description, kind, state):
        if state == "own" and (
            operation in matrix.NOT_OWN or self._would_change_root(operation, kind)
        ):
            return None
        if (found := await self.thing(kind, state)) is None:
            return None
        name, give_back = found
        status = await self._ask(operation, description, name)
        changed = status < 400 and not operation.startswith("GET ")
        if give_back and not changed:
            give_back()
        return status

    def _would_change_root(self, operation, kind):
        """Tell whether the one administrator whom all tests share would change themselves."""
        return self.name in matrix.PLATFORM and "user" in kind and not operation.startswith("GET ")

    async def _ask(self, operation, description, thing="", web=None):
        method, path = operation.split(" ")
        path = self._filled(operation, path, thing)
        sends = matrix.RECIPES.get(operation)
        more = {"json": sends(self) if sends else matrix.UNKNOWN}
        if method == "GET" or (method == "DELETE" and "requestBody" not in description):
            more = {}
        if operation in matrix.FILES:
            more = {"files": {"file": ("me.png", matrix.PICTURE, "image/png")}}
        if operation in matrix.STALE:
            more["headers"] = {"if-match": '"99999"'}
        return await status_of(web or self.web, method, path, **more)

    def _filled(self, operation, path, thing):
        special = matrix.THING.get(operation)
        parts = path.split("/")
        holes = [n for n, part in enumerate(parts) if part.startswith("{")]
        for n in holes:
            name = parts[n].strip("{}")
            is_thing = name == special[0] if special else n == thing_at(parts)
            if is_thing and thing:
                parts[n] = thing
            elif special and n == holes[-1]:
                parts[n] = special[1]
            elif matrix.OF.get(name) == "organization":
                parts[n] = self.home.id
            else:
                parts[n] = matrix.FIXED.get(name) or matrix.missing(matrix.OF.get(name, ""))
        return "/".join(parts)


async def status_of(web, method, path, **more):
    """Ask until the answer is not that one asks too much; return its status. Streams are not waited for."""
    for _ in range(40):
        async with web.stream(method, path, **more) as answer:
            status = answer.status_code
            busy = status == 503 and b"database_unavailable" in await answer.aread()
        if status != 429 and not busy:
            break
        await asyncio.sleep(0.25)
    return status


def thing_at(parts):
    """Return which part of a path names its thing: the last that is one."""
    names = [n for n, part in enumerate(parts) if part.startswith("{")]
    own = [n for n in names if parts[n].strip("{}") in matrix.OF or parts[n] == "{id}"]
    return own[-1] if own else None


def kind_of(operation):
    """Return which kind of thing an operation is about; None if about none."""
    if operation in matrix.THING:
        return matrix.OF[matrix.THING[operation][0]]
    parts = operation.split(" ")[1].split("/")
    if (at := thing_at(parts)) is None:
        return None
    name = parts[at].strip("{}")
    return f"global/{parts[at - 1]}" if name == "id" and "global" in parts else matrix.OF.get(name)
