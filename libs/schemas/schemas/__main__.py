"""The command line: `python -m schemas [--wait] flags audit`."""

import argparse
import asyncio
import sys

from schemas.migrate import from_environment, migrate, wait


async def _all(services: list[str], *, waiting: bool) -> None:
    for service in services:
        url, admin_url = from_environment(service)
        revision = await (wait(service, url) if waiting else migrate(service, url, admin_url))
        sys.stdout.write(f"{service} is at revision {revision}\n")


def main() -> None:
    """Be the command line."""
    parser = argparse.ArgumentParser(prog="schemas", description="Migrate schemas, or wait for it.")
    parser.add_argument("--wait", action="store_true", help="change nothing, wait until it is done")
    parser.add_argument("services", nargs="+")
    asked = parser.parse_args()
    asyncio.run(_all(asked.services, waiting=asked.wait))


if __name__ == "__main__":
    main()
