"""Records of instances, for tests of what keeps them."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from hostagent.instances.model import (
    Addresses,
    AutoStandbyPolicy,
    InstanceId,
    InstanceRecord,
    InstanceSpec,
    Level,
    ProcessStamp,
    PublishedPort,
)
from hostagent.instances.registry import new_id


def record(name: str = "web", number: int = 7, **changes: object) -> InstanceRecord:
    """Return a record with everything in it."""
    whole = InstanceRecord(
        id=new_id(),
        spec=InstanceSpec(
            name=name,
            command=("/usr/bin/python3", "-m", "http.server"),
            environment=(("PORT", "80"), ("GREETING", "grüezi = ja")),
            working_directory=Path("/srv"),
            ports=(PublishedPort(8080, 80), PublishedPort(59000, 59000, "udp", "127.0.0.1")),
            auto_standby=AutoStandbyPolicy(
                enabled=True, idle_timeout=1.5, ignore_source_cidrs=("10.0.0.0/8",), level=Level.RECLAIMED
            ),
        ),
        addresses=Addresses(
            ipv4=IPv4Address(f"10.211.0.{number}"),
            ipv6=IPv6Address(f"fd7a:ca7:a9::{number:x}"),
            mac="02:00:00:00:00:07",
            link=f"cn{number}",
            netns=f"catnap-{number}",
            uid=1_879_000_000 + number,
        ),
        created_at=1_700_000_000.25 + number,
        generation=3,
        level=Level.FROZEN,
        intent="standby:reclaimed",
        process=ProcessStamp(4711, 99, "boot"),
        started_at=1_700_000_001.0,
        idle_since=1_700_000_002.5,
        last_inbound_activity_at=1_700_000_002.25,
        exit_status=None,
        wakes=((Level.FROZEN, 0.004), (Level.STOPPED, 1.25)),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def identity(text: str) -> InstanceId:
    """Return an id made of a short text."""
    return InstanceId(text.ljust(24, "0"))
