"""The REST doors, in the order in which they are tried."""

from experiments.api import experiments, schedules

routers = (schedules.router, experiments.router)
