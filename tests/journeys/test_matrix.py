"""Every operation as every caller on every state of a thing: what comes of it is what `matrix.md` says.

The table is read by people and by this test, and `docs/permissions.md` is made of it. A route without a row fails, and
the failure prints the row that was seen: read it against the design, then paste it.
"""

import asyncio
import os

import httpx
import pytest

from tests.journeys import matrix, matrix_table
from tests.journeys.askers import Asker
from tests.journeys.places import Place
from tests.lean import Lean
from tests.newcomer import Patience

pytestmark = pytest.mark.journey
AT_ONCE = 8


class Patient(Patience, Lean):
    """A transport for many requests, with patience."""


def client(url, **headers):
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=30, transport=Patient())


class World:
    """Three tenants (the platform's, one, and another), somebody of each kind in them, and their clients."""

    def __init__(self, url, root, password, org, other):
        self.url, self.root, self.password = url, root, password
        self.org, self.other = org, other
        self.clients = []

    def client(self, **headers):
        self.clients.append(client(self.url, **headers))
        return self.clients[-1]

    async def callers(self):
        platform = (await self.root.get("/api/v1/users/me")).json()["tenant_id"]
        home = Place(self.org.id, self.org.slug, self.org.web)
        abroad = Place(self.other.id, self.other.slug, self.other.web)
        top = Place(platform, "platform", self.root)
        await asyncio.gather(home.settle(), abroad.settle(), top.settle())
        made = [Asker("nobody", self.client(), home, abroad)]
        made += await asyncio.gather(
            self.administrator(top, home),
            *(self.person(role, role, home, abroad) for role in matrix.ROLES),
        )
        keeper = await self.org.person("admin")  # whose own sessions a key may end
        made += [Asker(k, await self.key(k, keeper), home, abroad) for k in matrix.KEYS]
        return made

    async def administrator(self, home, abroad):
        """Whoever was there first; their sessions are other tests' too, so another's end."""
        like_them = await self.person("", "super_admin", home, abroad)
        me = (await self.root.get("/api/v1/users/me")).json()
        handle = (await self.root.get(f"/api/v1/global/users/{me['id']}")).json()["id"]
        login = like_them.spare

        async def session():
            return await self.session(await home.token("root", self.password))

        made = Asker("super_admin", self.root, home, abroad, me["id"], handle, login)
        made.login = session
        return made

    async def person(self, name, role, home, abroad):
        """Make two like each other: one who asks, one whose sessions may end."""
        login, who = await self._person(role, home)
        spare_login, _ = await self._person(role, home)

        async def spare():
            return self.client(authorization=f"Bearer {await spare_login()}")

        async def session():
            return await self.session(await login())

        web = self.client(authorization=f"Bearer {await login()}")
        known = await home.web.get(f"/api/v1/global/users/{who}")
        return Asker(name, web, home, abroad, who, known.json()["id"], spare, session)

    async def session(self, token):
        headers = {"authorization": f"Bearer {token}"}
        found = await self.root.get("/api/v1/sessions", headers=headers)
        return next(s["id"] for s in found.json()["items"] if s["current"])

    async def _person(self, role, home):
        name = matrix.unique()
        body = {"username": name, "email": f"{name}@x.example", "password": matrix.PASSWORD}
        given = [role] if role != "no_role" else ["user"]
        who = (await home.post("/api/v1/users", {**body, "roles": given}))["id"]
        if role == "no_role":
            gone = await home.web.delete(f"/api/v1/tenants/{home.id}/users/{who}/roles/user")
            assert gone.status_code == 204, gone.text

        async def login():
            return await home.token(name)

        return login, who

    async def key(self, name, keeper):
        held = (await keeper.get("/api/v1/users/me")).json()["permissions"]
        body = {
            "client_key": {"kind": "client"},
            "server_key": {"kind": "server"},
            "reading_key": {
                "kind": "management",
                "scopes": [p for p in held if p.endswith(":read")],
            },
            "full_key": {"kind": "management"},
        }[name]
        made = await keeper.post("/api/v1/api-keys", json={"name": name, **body})
        assert made.status_code == 201, made.text
        return self.client(**{"x-api-key": made.json()["key"]})

    async def close(self):
        await asyncio.gather(*(web.aclose() for web in self.clients))


@pytest.fixture
async def world(url, root, admin_password, org, other):
    made = World(url, root, admin_password, org, other)
    yield made
    await made.close()


@pytest.fixture
async def document(url):
    async with httpx.AsyncClient(base_url=url) as web:
        return (await web.get("/openapi.json")).raise_for_status().json()


async def known(web, eventually):
    """Wait until a caller is known to every service."""
    for path in ("feature-flags", "experiments", "vms", "audit-logs", "users"):

        async def there(path=path):
            return (await web.get(f"/api/v1/{path}")).status_code not in (401, 503)

        await eventually(there)


def part_of(operation):
    """Say in which third of the matrix an operation is, so that they are tried side by side."""
    if "/global/" in operation:
        return "gitops"
    tenancy = ("/users", "/roles", "/organizations", "/tenants", "/sessions", "/api-keys")
    return "people" if any(word in operation for word in tenancy) else "the rest"


@pytest.mark.parametrize("part", ["gitops", "people", "the rest"])
async def test_what_comes_of_everything_is_what_the_table_says(document, world, eventually, part):
    callers = await world.callers()
    await asyncio.gather(*(known(a.web, eventually) for a in callers if a.name != "nobody"))
    room = asyncio.Semaphore(AT_ONCE)

    async def tried(operation, description, asker):
        async with room:
            return await asker.try_all(operation, description)

    asked = [one for one in matrix_table.operations(document) if part_of(one[0]) == part]
    seen = await asyncio.gather(*(tried(*one, asker) for one in asked for asker in callers))
    table = {o: row for o, row in matrix_table.read_table().items() if part_of(o) == part}
    wrong, at = [], iter(seen)
    for operation, _ in asked:
        codes = {name: next(at) for name in matrix.CALLERS}
        row = table.pop(operation, None)
        if row is None or any(_differs(row[name], codes[name]) for name in codes):
            cells = {name: matrix_table.told(found) for name, found in codes.items()}
            wrong.append(matrix_table.written(operation, cells))
            wrong += _differences(row, codes) if row else ["    ^ this row is not in matrix.md"]
    wrong += [f"{operation}: is in matrix.md, but there is no such route" for operation in table]
    assert not wrong, "seen, but not what tests/journeys/matrix.md says:\n" + "\n".join(wrong)


def _differs(cell, codes):
    if codes is None or not cell:
        return codes is not None or bool(cell)
    return any(s not in (None, w) for s, w in zip(codes, matrix_table.meant(cell), strict=True))


def _differences(row, codes):
    for name, found in codes.items():
        if not found or not row[name]:
            if _differs(row[name], found):
                yield f"    {name}: {found}, not {row[name] or 'open to all'}"
            continue
        for state, seen, wanted in zip(
            matrix.STATES, found, matrix_table.meant(row[name]), strict=True
        ):
            if seen not in (None, wanted):
                yield f"    {name}, {state}: {seen}, not {wanted}"


async def test_a_cell_says_the_same_again_when_it_is_read():
    for codes in ([200] * 5, [200, 404, 404, 404, 404], [200, 200, 404, 404, 404], [1, 2, 3, 4, 5]):
        assert matrix_table.meant(matrix_table.told(codes)) == codes
    assert matrix_table.told([None, 200, None, None, 404]) == "200/404"
    assert matrix_table.told([None, None, None, None, 403]) == "403"


def halves(names):
    """Yield sets, none empty: of any two names some set has the one and lacks the other."""
    for bit in range((len(names) - 1).bit_length()):
        some = {name for n, name in enumerate(names) if n >> bit & 1}
        yield from (some, set(names) - some)


def test_halves_tell_any_two_names_apart():
    for count in (2, 3, 64, 65):
        sets = list(halves(names := list(range(count))))
        assert all(sets)  # a key without scopes is not limited
        assert all(any(a in s and b not in s for s in sets) for a in names for b in names if a != b)


async def test_a_scope_opens_what_it_names_and_nothing_else(document, org, url):
    """For each permission a key with exactly that scope, one with all others, and keys with half of all.

    Each operation is tried by each half: whichever other permission one takes, some half has it and lacks the
    operation's own. What that half is refused, the other permission alone is too: a narrower scope never adds anything
    (libs/authz/tests/test_replica.py). With SWITCHYARD_EVERY_SCOPE=1 each scope by itself is tried on everything.
    """
    held = sorted((await org.web.get("/api/v1/users/me")).json()["permissions"])
    guarded = [
        (operation, description["x-permission"])
        for operation, description in matrix_table.operations(document)
        if description.get("x-permission") and description["security"] != [{"apiKey": []}]
        if "x-reach" not in description  # what no tenant's key can do, whatever its scopes
    ]
    used = sorted({permission for _, permission in guarded} & set(held))
    assert len(used) > 20
    everything = bool(os.environ.get("SWITCHYARD_EVERY_SCOPE"))
    own = {p: [one for one in guarded if one[1] == p] for p in used}
    tried = [
        *((half & set(held), guarded) for half in halves(held)),
        *(({p}, guarded if everything else own[p]) for p in used),
        *((set(held) - {p}, own[p]) for p in used),
    ]
    # All before the first is tried: who makes them has a token that does not live as long as the whole may take.
    keys = [await org.key(kind="management", scopes=sorted(scopes)) for scopes, _ in tried]
    room = asyncio.Semaphore(AT_ONCE)

    async def wrong_with(scopes, key, asked):
        async with room, client(url, **{"x-api-key": key}) as web:
            return [found async for found in _wrong(web, org, scopes, asked)]

    found = await asyncio.gather(
        *(wrong_with(scopes, key, asked) for (scopes, asked), key in zip(tried, keys, strict=True))
    )
    assert [one for some in found for one in some] == []


async def _wrong(web, org, scopes, asked):
    for operation, permission in asked:
        method, path = operation.split(" ")
        for name, kind in matrix.OF.items():
            here = org.id if kind == "organization" else matrix.missing(kind)
            path = path.replace(f"{{{name}}}", here)
        for name, value in matrix.FIXED.items():
            path = path.replace(f"{{{name}}}", value)
        answer = await web.request(method, path, json=matrix.UNKNOWN)
        refused = f"{permission} required" in answer.text and answer.status_code == 403
        if refused == (permission in scopes) or answer.status_code in (401, 500):
            key = f"{len(scopes)} scopes" if len(scopes) > 1 else f"the scope {min(scopes)}"
            meant = "also that" if permission in scopes else "not that"
            yield f"{operation} needs {permission}; a key with {key}, {meant}: {answer.status_code}"
