"""What a look at the hypervisor found."""

from dataclasses import dataclass

from compute.domain.errors import NoDriver, NoHypervisor

INSTALL = (
    "this deployment has no hypervisor, so it cannot run machines: install qemu-system-x86 and qemu-utils "
    "on the machine that the compute service runs on"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found: `version` of the hypervisor (None: there is none), `driven` if we can make it run machines.

    `trouble` says what is missing or broken where there is none.
    """

    version: str | None = None
    driven: bool = False
    trouble: str = ""

    def must_run_machines(self) -> None:
        """Refuse to go on unless machines can be run; say what would change that."""
        if self.version is None:
            raise NoHypervisor(f"{INSTALL} ({self.trouble})", retry_after=300)
        if not self.driven:
            raise NoDriver(
                f"QEMU {self.version} is installed, but this release of Switchyard has no driver for it yet, "
                "so it cannot run machines",
                retry_after=300,
            )
