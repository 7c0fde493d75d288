"""What was seen that keeps an instance awake, in a form people and programs read."""

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Literal

from hostagent.activity.classify import TCP_STATES
from hostagent.activity.contract import Address, Flow, Lease

EvidenceKind = Literal["flow", "gate", "lease", "unreadable", "changed", "disturbed"]
"""`unreadable`: a source could not be read, which counts as use. `changed`: the instance or its policy is not
what it was when the sleep was decided. `disturbed`: activity that came and went while it was going to sleep.
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation."""

    kind: EvidenceKind
    detail: str
    """A sentence naming the connection, the counter, the owner and reason, or what failed."""


def of_flow(flow: Flow) -> Evidence:
    """Return a connection as evidence."""
    ends = f"{_end(flow.source, flow.source_port)} to {_end(flow.destination, flow.destination_port)}"
    if (flow.instance, flow.instance_port) != (flow.destination, flow.destination_port):
        ends += f" (published, answered by {_end(flow.instance, flow.instance_port)})"
    return Evidence("flow", f"{flow.protocol} {ends}, {_condition(flow)}")


def of_gate(count: int | None) -> Evidence:
    """Return the instance's own counter as evidence."""
    if count is None:
        return Evidence("gate", "the instance's gate cannot be read, so it may be held")
    return Evidence("gate", f"the instance holds itself awake: its gate stands at {count}")


def of_lease(lease: Lease, now: float) -> Evidence:
    """Return a lease as evidence."""
    return Evidence(
        "lease", f"{lease.owner} needs it for another {max(0.0, lease.until - now):.1f} s: {lease.reason}"
    )


def _end(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


def _condition(flow: Flow) -> str:
    packets = "packets are not counted" if flow.packets is None else f"{flow.packets} packets so far"
    if flow.protocol != "tcp":
        return packets
    state = flow.tcp_state
    name = TCP_STATES[state] if state is not None and state < len(TCP_STATES) else f"state {state}"
    return f"{name}, {packets}"
