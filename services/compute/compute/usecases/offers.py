"""What this deployment itself offers to make machines from."""

from dataclasses import dataclass

from chassis.facts import Fact, Target
from compute.ports import OpenWork
from compute.ports.hypervisor import Hypervisor
from compute.usecases.claims import WORKER


@dataclass(frozen=True, slots=True)
class Offers:
    """The templates that lie on a host for everybody."""

    work: OpenWork
    hypervisor: Hypervisor

    async def refresh(self) -> None:
        """Put the host's templates for all where tenants find them."""
        for template in self.hypervisor.templates():
            async with self.work() as work:
                if await work.templates.put(template):
                    target = Target("template", str(template.id), template.name)
                    what = {"name": template.name, "description": template.description}
                    work.record(
                        Fact(
                            tenant=None,
                            actor=WORKER,
                            action="template.offered",
                            target=target,
                            after=what,
                        )
                    )
