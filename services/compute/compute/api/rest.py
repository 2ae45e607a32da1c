"""Every REST door of compute."""

from compute.api import agents, console, operations, quotas, snapshots, templates, usage, vms

routers = (
    vms.router,
    snapshots.router,
    console.router,
    operations.router,
    templates.router,
    quotas.router,
    *agents.routers,
    usage.router,
)
