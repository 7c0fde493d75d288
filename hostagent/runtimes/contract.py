"""What every runtime does, so that the lifecycle need not know which it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hostagent.instances.model import Addresses, InstanceId, InstanceSpec, Level, ProcessStamp


@dataclass(frozen=True, slots=True)
class LevelSupport:
    """Whether a level can be reached on this machine, by what, or why not."""

    level: Level
    supported: bool
    answer: str
    """What the probe found, as a sentence."""


@dataclass(frozen=True, slots=True)
class Found:
    """What really exists of an instance."""

    process: ProcessStamp | None
    """The process of the instance, None when it is gone."""
    frozen: bool
    memory_bytes: int | None
    """Memory charged to it, None when this cannot be told."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything a start needs besides the specification."""

    id: InstanceId
    spec: InstanceSpec
    addresses: Addresses
    data_directory: Path
    """Kept through restarts: home of the instance's user, its log."""
    gate_file: Path | None
    """The instance's own gate file on the host, shown to it at /uk/libukp/scale_to_zero_disable."""


class Runtime(Protocol):
    """Instances of one kind. Calls on one instance never overlap: the lifecycle's lock sees to it."""

    def levels(self) -> Mapping[Level, LevelSupport]:
        """Return what the probes found; made once at start."""

    async def start(self, plan: LaunchPlan) -> ProcessStamp:
        """Start the command; raises HostError with the reason. The process outlives the agent."""

    async def freeze(self, instance: InstanceId) -> None:
        """Stop every process of the instance; returns when the kernel says that all stand still."""

    def thaw(self, instance: InstanceId) -> None:
        """Let them run again; quick, never blocks, may be called from the packet path and twice."""

    async def reclaim(self, instance: InstanceId) -> int:
        """Give the frozen instance's memory back as far as it goes; return the bytes given back."""

    async def stop(self, instance: InstanceId, grace: float) -> int | None:
        """Ask it to end (SIGTERM), after `grace` seconds make it; return the exit status where known."""

    async def destroy(self, instance: InstanceId) -> None:
        """Remove what `start` made (cgroups, mounts); the data directory is the lifecycle's."""

    async def inspect(self, instance: InstanceId, process: ProcessStamp | None) -> Found:
        """Look at what exists, also after a restart of the agent; adopts a live process."""

    def keep_log(self, instance: InstanceId, data_directory: Path) -> None:
        """Bound the output of an instance that an earlier agent started; may be called twice."""

    def on_exit(self, instance: InstanceId, callback: Callable[[int | None], None]) -> Callable[[], None]:
        """Call back on the loop when the instance's process has ended; returns how to stop listening."""
