"""Every REST door of compute."""

from compute.api import agents, quotas, templates, vms

routers = (vms.router, templates.router, quotas.router, *agents.routers)
