"""What goes over the wire: hypeman's field names and states, and ours beside them."""

import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator

from hostagent.doctor.finding import Finding
from hostagent.instances.events import Event
from hostagent.instances.model import InstanceSpec, PublishedPort, State
from hostagent.instances.policy import normalise, to_wire
from hostagent.instances.registry import Instance
from hostagent.standby.status import rfc3339

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
IMAGE: Final = "host"
"""What the process runtime calls its image: the files of the host itself."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_WORD: Final = 128 * 1024 - 1
"""Bytes that the kernel takes of a word of a command line, or of `NAME=VALUE`."""


def _word(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:  # JSON can have half a character: a lone surrogate
        raise ValueError("is no text: half of a character is in it") from error
    if "\0" in text:
        raise ValueError("has a zero byte in it")
    if size > _LONGEST_WORD:
        raise ValueError(f"has {size} bytes; at most {_LONGEST_WORD} can be given to a command")
    return text


Word = Annotated[str, AfterValidator(_word)]
"""Text that can be given to the kernel."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PortMapping(_Body):
    """A published port."""

    host_port: int = Field(ge=1, le=65535)
    guest_port: int = Field(ge=1, le=65535)
    protocol: Literal["tcp", "udp"] = "tcp"
    host_address: str | None = None
    """Only this address of the host; absent: all, IPv4 and IPv6."""

    @field_validator("host_address")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        address = ip_address(value)
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            raise ValueError(f"{value!r} has a zone; an address without one is needed")
        return str(address)


class CreateInstanceRequest(_Body):
    """Body of `POST /instances`."""

    name: str
    command: list[Word] = Field(min_length=1)
    image: Literal["host"] = IMAGE
    hypervisor: Literal["process"] = "process"
    env: dict[Word, Word] = Field(default_factory=dict)
    ports: list[PortMapping] = Field(default_factory=list, max_length=256)
    working_directory: Word | None = None
    user: Word | None = None
    auto_standby: JsonValue = None

    @field_validator("name")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("has 1 to 63 lower-case letters, digits and dashes, no dash at its ends")
        return value

    @field_validator("command")
    @classmethod
    def _a_program(cls, value: list[str]) -> list[str]:
        if not value[0]:
            raise ValueError("names no program")
        return value

    @field_validator("env")
    @classmethod
    def _variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is no environment variable")
            _word(f"{name}={text}")
        return value

    @field_validator("working_directory")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError("is not absolute")
        return value

    def spec(self) -> InstanceSpec:
        """Return what was asked for; raises BadRequestError for a policy that makes no sense."""
        return InstanceSpec(
            name=self.name,
            command=tuple(self.command),
            runtime=self.hypervisor,
            environment=tuple(self.env.items()),
            working_directory=None if self.working_directory is None else Path(self.working_directory),
            user=self.user,
            ports=tuple(
                PublishedPort(port.host_port, port.guest_port, port.protocol, port.host_address)
                for port in self.ports
            ),
            auto_standby=normalise(self.auto_standby),
        )


class UpdateInstanceRequest(_Body):
    """Body of `PATCH /instances/{id}`."""

    auto_standby: JsonValue


class StandbyRequest(_Body):
    """Body of `POST /instances/{id}/standby`; may be absent."""

    level: Literal["frozen", "reclaimed", "standby", "stopped"] | None = None
    """How deep; absent: the deepest at which its process stays."""


class PingRequest(_Body):
    """Body of `POST /instances/{id}/ping`; may be absent."""

    owner: str = Field(default="ping", min_length=1, max_length=128)
    """Who needs it; a later ping of the same owner replaces the earlier."""
    reason: str = Field(default="", max_length=256)
    duration: str | None = None
    """How long from now; absent: the idle timeout of its policy, or a minute."""


class DownRequest(_Body):
    """Body of `POST /agent/down`; may be absent."""

    remove: bool = False
    """Remove the instances as well, with their directories."""


def instance_to_wire(instance: Instance, state: State, trouble: str | None) -> dict[str, JsonValue]:
    """Return hypeman's `Instance` object with our fields beside it."""
    record = instance.record
    spec, addresses = record.spec, record.addresses
    wire: dict[str, JsonValue] = {
        "id": record.id,
        "name": spec.name,
        "image": IMAGE,
        "state": state.value,
        "env": dict(spec.environment),
        "network": {
            "enabled": True,
            "name": "default",
            "ip": str(addresses.ipv4),
            "ip6": str(addresses.ipv6),
            "mac": addresses.mac,
        },
        "created_at": rfc3339(record.created_at),
        "has_snapshot": False,
        "hypervisor": spec.runtime,
        "command": list(spec.command),
        "ports": [port_to_wire(port) for port in spec.ports],
        "level": instance.level.value,
        "level_since": rfc3339(instance.since),
        "generation": record.generation,
        "wakes_on_packet": instance.wakeable,
    }
    optional: dict[str, JsonValue] = {
        "state_error": trouble,
        "started_at": None if record.started_at is None else rfc3339(record.started_at),
        "stopped_at": None if record.stopped_at is None else rfc3339(record.stopped_at),
        "exit_status": record.exit_status,
        "auto_standby": to_wire(spec.auto_standby),
        "working_directory": None if spec.working_directory is None else str(spec.working_directory),
        "user": spec.user,
    }
    return wire | {name: value for name, value in optional.items() if value is not None}


def port_to_wire(port: PublishedPort) -> dict[str, JsonValue]:
    """Return a published port by hypeman's names."""
    wire: dict[str, JsonValue] = {
        "host_port": port.host_port,
        "guest_port": port.instance_port,
        "protocol": port.protocol,
    }
    return wire if port.host_address is None else wire | {"host_address": port.host_address}


def finding_to_wire(finding: Finding) -> dict[str, JsonValue]:
    """Return a row of the doctor."""
    return {
        "name": finding.name,
        "ok": finding.ok,
        "need": finding.need,
        "found": finding.found,
        "advice": finding.advice,
    }


def event_to_wire(event: Event) -> dict[str, JsonValue]:
    """Return an event as JSON: what is not known is absent."""
    wire: dict[str, JsonValue] = {
        "sequence": event.sequence,
        "time": rfc3339(event.at),
        "type": event.type.value,
    }
    optional: dict[str, JsonValue] = {
        "instance_id": event.instance,
        "name": event.name,
        "generation": event.generation,
        "level": None if event.level is None else event.level.value,
        "from_level": None if event.from_level is None else event.from_level.value,
        "reason": event.reason or None,
        **event.details,
    }
    return wire | {name: value for name, value in optional.items() if value is not None}
