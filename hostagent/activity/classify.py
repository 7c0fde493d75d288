"""Which flows are use of an instance. Pure.

The TCP states are a deny-list (NONE, TIME_WAIT, CLOSE): a state nobody knows keeps the instance awake,
which costs time, while the opposite mistake strands somebody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from hostagent.activity.contract import Address, Flow
from hostagent.instances.model import AutoStandbyPolicy

TCP_STATES: Final = (
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
    "IGNORE",
    "RETRANS",
)
"""The kernel's names by number (enum tcp_conntrack; 9 was LISTEN once)."""

ENDED_TCP_STATES: Final = frozenset({0, 7, 8})
"""NONE, TIME_WAIT, CLOSE."""

FlowKey = tuple[str, Address, int, Address, int]


def flow_key(flow: Flow) -> FlowKey:
    """Return what makes a flow itself: protocol and the original direction's addresses and ports."""
    return (flow.protocol, flow.source, flow.source_port, flow.destination, flow.destination_port)


def is_open(flow: Flow) -> bool:
    """Tell whether a flow is not over; one whose state is unknown is not."""
    return flow.protocol != "tcp" or flow.tcp_state not in ENDED_TCP_STATES


@dataclass(frozen=True, slots=True)
class FlowRule:
    """What counts for one instance under its policy."""

    addresses: frozenset[Address]
    ignored_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    ignored_ports: frozenset[int] = frozenset()
    silent_may_sleep: bool = False

    @classmethod
    def of(cls, policy: AutoStandbyPolicy, addresses: Iterable[Address]) -> "FlowRule":
        """Return the rule of a policy; raises ValueError when the policy is not in normal form."""
        return cls(
            addresses=frozenset(addresses),
            ignored_networks=tuple(ip_network(cidr) for cidr in policy.ignore_source_cidrs),
            ignored_ports=frozenset(policy.ignore_destination_ports),
            silent_may_sleep=policy.open_connections == "sleep_when_silent",
        )

    def counts(self, flow: Flow) -> bool:
        """Tell whether a flow is towards the instance from somebody who counts, open or not.

        The instance is the original destination or, where its port is published, the reply's source. What
        it calls itself does not count, nor do ignored networks and ports (its own ports, not the host's).
        """
        return (
            (flow.instance in self.addresses or flow.destination in self.addresses)
            and flow.source not in self.addresses
            and flow.instance_port not in self.ignored_ports
            and not any(flow.source in network for network in self.ignored_networks)
        )

    def holds(self, flow: Flow) -> bool:
        """Tell whether an open flow is use by being open; the others are use while their packets move."""
        return flow.protocol == "tcp" and not self.silent_may_sleep
