"""Every REST door of compute."""

from compute.api import agents, quotas, templates, usage, vms

routers = (vms.router, templates.router, quotas.router, *agents.routers, usage.router)
