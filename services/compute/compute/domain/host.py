"""What a look at the hypervisor found."""

from dataclasses import dataclass

from compute.domain.errors import NoHypervisor, NoSuchMedium, NotTriedYet

INSTALL = (
    "this deployment has no hypervisor, so it cannot run machines: install qemu-system-x86 and qemu-utils "
    "on the machine that the compute service runs on, and run `make setup` there"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found: `version` of the hypervisor (None: there is none), and whether a guest really ran on it.

    `trying`: the small guest that finds out is still booting. `accel`: what makes guests quick (kvm or tcg).
    `trouble` says what is missing or broken, `advice` what to do where there is no hypervisor, which is an `engine`.
    `media`: machines can be installed from ISO images.
    """

    version: str | None = None
    ran: bool = False
    trying: bool = False
    accel: str = ""
    trouble: str = ""
    engine: str = "QEMU"
    advice: str = INSTALL
    media: bool = False

    def must_take_media(self) -> None:
        """Refuse an order that needs an ISO image laid in, where that cannot be done."""
        if not self.media:
            raise NoSuchMedium(
                "this deployment's hypervisor takes no ISO images; make the machine from a template"
            )

    def must_run_machines(self) -> None:
        """Refuse to go on unless machines can be run; say what would change that."""
        if self.trying:
            text = "a small guest is being booted to see whether machines run here; ask again in some seconds"
            raise NotTriedYet(text, retry_after=5)
        if self.version is None:
            raise NoHypervisor(f"{self.advice} ({self.trouble})", retry_after=300)
        if not self.ran:
            raise NoHypervisor(
                f"{self.engine} {self.version} is installed, but no guest runs on it here: {self.trouble}",
                retry_after=300,
            )
