"""The REST doors, in the order in which they are tried."""

from experiments.api import experiments, intake, metrics, results, schedules

routers = (schedules.router, results.router, experiments.router, metrics.router, intake.router)
