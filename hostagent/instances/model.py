"""An instance in the agent's own terms."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, NewType

InstanceId = NewType("InstanceId", str)
"""24 characters of `a-z0-9`, the first a letter (the form of a CUID2)."""


class Level(StrEnum):
    """How deep an instance sleeps; each costs less and takes longer to come back from than the one before."""

    AWAKE = "awake"
    FROZEN = "frozen"
    RECLAIMED = "reclaimed"
    STANDBY = "standby"
    STOPPED = "stopped"

    @property
    def depth(self) -> int:
        """0 for awake, 4 for stopped."""
        return list(Level).index(self)


class State(StrEnum):
    """What the API calls the instance (hypeman's names); derived from what exists, never stored."""

    STOPPED = "Stopped"
    CREATED = "Created"
    RUNNING = "Running"
    STANDBY = "Standby"
    UNKNOWN = "Unknown"


OpenConnections = Literal["hold", "sleep_when_silent"]


@dataclass(frozen=True, slots=True)
class AutoStandbyPolicy:
    """When an instance may sleep and how deep; made by `hostagent.instances.policy`, always normal."""

    enabled: bool = False
    idle_timeout: float = 0.0
    """Seconds without activity; above zero when enabled."""
    ignore_source_cidrs: tuple[str, ...] = ()
    """Networks whose connections are no activity; host bits cleared, sorted, no doubles."""
    ignore_destination_ports: tuple[int, ...] = ()
    open_connections: OpenConnections = "hold"
    level: Level | None = None
    """The deepest level to go to; None means the deepest the runtime can come back from by itself."""
    wake_objective: float | None = None
    """Seconds; then the deepest level whose own recent wakes (p95) meet it."""
    reclaim_after: float | None = None
    """Seconds frozen before memory is given back; None means at once."""
    stop_after: float | None = None
    """Seconds asleep before it is stopped (the next packet starts it again); None means never."""


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """`-p [ADDRESS:]HOST:INSTANCE[/udp]`: a port of the host that reaches the instance."""

    host_port: int
    instance_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    host_address: str | None = None
    """None means every address of the host, IPv4 and IPv6."""


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """What was asked for; never changes but by PATCH."""

    name: str
    command: tuple[str, ...]
    runtime: Literal["process"] = "process"
    environment: tuple[tuple[str, str], ...] = ()
    working_directory: Path | None = None
    user: str | None = None
    """An account of the host to run as; None gives the instance a user of its own."""
    ports: tuple[PublishedPort, ...] = ()
    auto_standby: AutoStandbyPolicy | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """What stays reserved for an instance through sleep and restarts."""

    ipv4: IPv4Address
    ipv6: IPv6Address
    mac: str
    link: str
    """The host's end of the cable (an interface name, at most 15 characters)."""
    netns: str
    """The name of the network namespace under /run/netns."""
    uid: int
    """The user and group id of the instance's own account."""


@dataclass(frozen=True, slots=True)
class ProcessStamp:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks after boot."""
    boot_id: str
    """/proc/sys/kernel/random/boot_id: after a reboot nothing that ran still runs."""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """What the journal keeps of one instance."""

    id: InstanceId
    spec: InstanceSpec
    addresses: Addresses
    created_at: float
    generation: int = 0
    """Goes up at every transition; every command and report carries it."""
    wanted: Literal["running", "stopped"] = "running"
    """What the operator asked for last: `stopped` is not woken by packets."""
    level: Level = Level.STOPPED
    """The level of the last finished transition; the truth is what `Runtime.inspect` finds."""
    intent: str | None = None
    """The transition under way (`standby:frozen`, `wake`, `start`, `stop`, `delete`), None between them."""
    process: ProcessStamp | None = None
    started_at: float | None = None
    stopped_at: float | None = None
    idle_since: float | None = None
    last_inbound_activity_at: float | None = None
    exit_status: int | None = None
    wakes: tuple[tuple[Level, float], ...] = field(default=())
    """The last wakes: the level woken from, seconds it took; at most 64."""
