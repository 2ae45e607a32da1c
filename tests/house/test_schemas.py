"""Each service's role owns its own schema and sees no other's."""

import asyncpg
import pytest

SERVICES = ("iam", "flags", "experiments", "audit", "compute")


@pytest.mark.store
@pytest.mark.parametrize("service", SERVICES)
def test_a_role_sees_its_own_schema_and_no_other(service_url, service):
    import asyncio

    urls = {name: service_url(name) for name in SERVICES}

    async def look():
        there = await asyncpg.connect(urls[service])
        try:
            assert await there.fetchval(f'SELECT count(*) FROM "{service}".outbox') is not None
            for other in set(SERVICES) - {service}:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await there.fetchval(f'SELECT count(*) FROM "{other}".outbox')
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await there.execute("CREATE TABLE public.stray (x int)")
        finally:
            await there.close()

    asyncio.run(look())
