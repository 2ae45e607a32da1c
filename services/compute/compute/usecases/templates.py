"""What machines can be made from."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import Slice
from compute.domain.errors import TemplateNotFound
from compute.domain.order import Template
from compute.ports import OpenWork, Wanted


@dataclass(frozen=True, slots=True)
class Templates:
    """Everything one can do with templates."""

    work: OpenWork

    async def read(self, caller: Caller, template_id: UUID) -> Template:
        """Return one template that the tenant may use."""
        caller.must("template:read")
        async with self.work() as work:
            found = await work.templates.find(caller.tenant, template_id)
        if found is None:
            raise TemplateNotFound(f"there is no template {template_id}")
        return found

    async def list(self, caller: Caller, wanted: Wanted) -> Slice[Template]:
        """Return a part of the templates that the tenant may use."""
        caller.must("template:read")
        async with self.work() as work:
            return await work.templates.list(caller.tenant, wanted)
