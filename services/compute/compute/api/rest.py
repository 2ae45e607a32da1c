"""Every REST door of compute."""

from compute.api import agents, operations, quotas, templates, usage, vms

routers = (
    vms.router,
    operations.router,
    templates.router,
    quotas.router,
    *agents.routers,
    usage.router,
)
