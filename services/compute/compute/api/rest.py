"""Every REST door of compute."""

from compute.api import quotas, templates, vms

routers = (vms.router, templates.router, quotas.router)
