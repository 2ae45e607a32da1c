"""Where things lie: the checkout, and one data folder with everything that a running platform
leaves behind.

`import site` elsewhere means the standard library's module: this one is `yard.site`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from yard import YardError

CHECKOUT = Path(__file__).resolve().parents[3]
IMAGES = CHECKOUT / ".images"  # templates that deploy/local/guest/prepare.py made, for all sites


@dataclass(frozen=True, slots=True)
class Site:
    """A data folder and the names in it. Two sites live side by side without knowing each other."""

    root: Path

    @property
    def run(self) -> Path:
        """What is true only while it runs."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """A file per process, and `yard.log` of the supervisor itself."""
        return self.root / "log"

    @property
    def state(self) -> Path:
        """The record of ports, pids and restarts; see `record`."""
        return self.run / "state.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor for as long as it lives."""
        return self.run / "lock"

    @property
    def keylog(self) -> Path:
        """Where the key agent keeps the log of hashes that Envoy reads."""
        return self.run / "keylog"

    @property
    def avatars(self) -> Path:
        """Where iam keeps pictures."""
        return self.root / "avatars"

    @property
    def snapshots(self) -> Path:
        """Where flags keeps the last good state of each environment."""
        return self.root / "flags"

    @property
    def guests(self) -> Path:
        """Where compute keeps virtual machines."""
        return self.root / "guests"

    @property
    def gate(self) -> Path:
        """Where Envoy's rendered configuration goes."""
        return self.run / "gate"

    @property
    def secrets(self) -> Path:
        """Generated once, readable by the owner only."""
        return self.root / "secrets.json"

    @property
    def postgres(self) -> Path:
        """The database cluster."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's append-only files."""
        return self.root / "valkey"

    def make(self) -> None:
        """Create the folders, closed to others; YardError where that cannot be."""
        try:
            for folder in (self.root, self.run, self.log, self.valkey, self.gate, self.keylog):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as trouble:
            raise YardError(
                f"the data folder {self.root} cannot be made ({trouble.strerror}): "
                "name another with SWITCHYARD_DATA"
            ) from trouble


def here() -> Site:
    """Return the site of this checkout: `.data`, or `SWITCHYARD_DATA`."""
    return Site(Path(os.environ.get("SWITCHYARD_DATA") or CHECKOUT / ".data").resolve())
