"""How many logins, refreshes and requests with an API key iam answers over HTTP, with real password hashes.

    python -m yard with --database-only -- python benchmarks/iam_requests.py [--seconds 8]

`iam_logins.py` measures the use-cases alone. Targets: 45 password logins a second of a core, 500 refreshes a second.
There is no grant for client credentials (yet): what a machine shows instead is an API key, so that is measured in its
place (target 600 a second).
"""

import argparse

import uvloop
import wire

AT_ONCE = 8


async def figures(seconds: float) -> None:
    """Print each figure beside its target."""
    async with wire.iam() as iam:
        boss, said = await iam.founded("bench")
        lines = [iam.wire() for _ in range(AT_ONCE)]
        names = [f"n{n}" for n in range(AT_ONCE)]
        for name in names:
            body = {"email": f"{name}@bench.example", "username": name, "password": wire.ALSO}
            await boss.must("POST", "/api/v1/users", body)

        async def login(n: int) -> str:
            body = {"username": names[n], "password": wire.ALSO, "tenant_subdomain": "bench"}
            return (await lines[n].must("POST", "/api/v1/auth/login", body))["refresh_token"]

        tokens = [await login(n) for n in range(AT_ONCE)]
        told("password logins", 45, await wire.rate(iam, login, seconds, AT_ONCE))

        async def refresh(n: int) -> None:
            answer = await lines[n].must(
                "POST", "/api/v1/auth/refresh", {"refresh_token": tokens[n]}
            )
            tokens[n] = answer["refresh_token"]

        told("refreshes", 500, await wire.rate(iam, refresh, seconds, AT_ONCE))
        made = await boss.must("POST", "/api/v1/api-keys", {"name": "k", "kind": "management"})
        keyed = [iam.wire(**{"x-api-key": made["key"]}) for _ in range(AT_ONCE)]
        await keyed[0].must("GET", "/api/v1/permissions")

        async def ask(n: int) -> None:
            await keyed[n].must("POST", "/api/v1/authz/check", {"permission": "flag:read"})

        async def known(n: int) -> None:
            await keyed[n].must("GET", "/api/v1/permissions")

        told(
            "requests with an API key, from memory",
            600,
            await wire.rate(iam, known, seconds, AT_ONCE),
        )
        told(
            "requests with an API key, with a transaction",
            600,
            await wire.rate(iam, ask, seconds, AT_ONCE),
        )
        assert said["organization"]


def told(what: str, target: int, found: tuple[float, float]) -> None:
    """Print a figure."""
    clock, core = found
    print(
        f"{what:46} {clock:8.0f} /s   {core:8.0f} /s of iam's own processor time   (target {target})",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    uvloop.run(figures(parser.parse_args().seconds))
