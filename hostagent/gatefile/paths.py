"""Where the gate files and what belongs to them are."""

from dataclasses import dataclass
from pathlib import Path

from hostagent.instances.model import InstanceId


@dataclass(frozen=True, slots=True)
class GatePaths:
    """The files of one daemon, in a directory only root may enter, on a tmpfs (counts end with the boot).

    gate/files/ID     the gate files, a FUSE mount
    gate/counts/ID    the counts, for a daemon that follows one that was killed
    gate/socket       where the agent asks
    gate/lock         held by the daemon
    gate/daemon.log   what it said
    """

    directory: Path

    @property
    def files(self) -> Path:
        """The mount."""
        return self.directory / "files"

    @property
    def counts(self) -> Path:
        """The counts that outlive the daemon."""
        return self.directory / "counts"

    @property
    def socket(self) -> Path:
        """The daemon's unix socket."""
        return self.directory / "socket"

    @property
    def lock(self) -> Path:
        """Held by the daemon as long as it runs."""
        return self.directory / "lock"

    @property
    def log(self) -> Path:
        """What the daemon printed."""
        return self.directory / "daemon.log"

    def file_of(self, instance: InstanceId) -> Path:
        """Return the gate file to show to the instance."""
        return self.files / instance

    def make(self) -> None:
        """Create the directories."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        self.counts.mkdir(exist_ok=True)
