"""What every REST route of the five services must be like, read off the routers themselves."""

import importlib
import inspect

import pytest
from fastapi.routing import APIRoute

SERVICES = ("iam", "flags", "experiments", "audit", "compute")


def asked_of(dependant):
    """Yield every callable that FastAPI calls before and for an endpoint."""
    yield dependant.call
    for deeper in dependant.dependencies:
        yield from asked_of(deeper)


@pytest.mark.parametrize("service", SERVICES)
def test_no_route_hands_its_request_to_a_thread(service):
    """FastAPI runs a plain function or class in a thread of its pool, each of them, for each request: on a busy machine
    that was most of a request's time, spent inside its transaction.
    """
    rest = importlib.import_module(f"{service}.api.rest")
    routes = [r for router in rest.routers for r in router.routes if isinstance(r, APIRoute)]
    plain = {
        f"{call.__module__}.{call.__qualname__}"
        for route in routes
        for call in asked_of(route.dependant)
        if not inspect.iscoroutinefunction(call)
    }
    assert len(routes) > 5
    assert not plain, "make these `async def`"
