"""Every REST door of compute."""

from compute.api import agents, console, operations, quotas, templates, usage, vms

routers = (
    vms.router,
    console.router,
    operations.router,
    templates.router,
    quotas.router,
    *agents.routers,
    usage.router,
)
