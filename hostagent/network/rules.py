"""Our nftables table as text: chains, sets, and the commands that change a set. Pure.

One table, `inet catnap_host`, has it all, IPv4 and IPv6. Chains never change after the start; instances
come and go as elements of sets, in one transaction each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from hostagent.errors import BadRequestError
from hostagent.instances.model import Addresses, PublishedPort
from hostagent.network.addressing import Pool

TABLE = "inet catnap_host"
MARK = 0x01000000
"""The bit of the connection mark that our flows have; it is added, other bits stay whose they are."""
HOLD_MARK = 0x01000000
"""The bit of the packet mark that sends a packet to the hold queue, where nft itself cannot queue."""
LOG_GROUP = 7211
HOLD_QUEUE = 7211
LOG_RATE = "20/second burst 5 packets"
"""How many packets to one sleeping address are told; the first one always is. All are counted."""


@dataclass(frozen=True, slots=True)
class Trapping:
    """How packets to sleeping instances are seen."""

    ignore_source_cidrs: tuple[str, ...] = ()
    """Networks whose packets wake nobody."""
    replies: bool = False
    """Packets wake that belong to a connection which the instance itself opened, too."""
    nft_queues: bool = False
    """This kernel's nftables can queue by itself."""
    log_group: int = LOG_GROUP
    queue: int = HOLD_QUEUE

    def __post_init__(self) -> None:
        """Raise BadRequestError for a text that is no network."""
        for text in self.ignore_source_cidrs:
            try:
                ip_network(text, strict=False)
            except ValueError as error:
                raise BadRequestError(
                    f"wake.ignore_source_cidrs: {text!r} is no network such as 192.0.2.0/24 or 2001:db8::/32"
                ) from error

    def networks(self, version: int) -> list[str]:
        """Return the ignored networks of one IP version."""
        found: list[IPv4Network | IPv6Network] = [
            ip_network(text, strict=False) for text in self.ignore_source_cidrs
        ]
        return [str(network) for network in found if network.version == version]


SETS = {
    "links": "type ifname;",
    "instances4": "type ipv4_addr;",
    "instances6": "type ipv6_addr;",
    "own4": "type ipv4_addr . ipv4_addr;",
    "own6": "type ipv6_addr . ipv6_addr;",
    "ignored4": "type ipv4_addr; flags interval; auto-merge;",
    "ignored6": "type ipv6_addr; flags interval; auto-merge;",
    "sleeping4": f"type ipv4_addr; counter; limit rate {LOG_RATE};",
    "sleeping6": f"type ipv6_addr; counter; limit rate {LOG_RATE};",
    "stopped4": "type ipv4_addr; counter;",
    "stopped6": "type ipv6_addr; counter;",
    "full4": "type ipv4_addr; counter;",
    "full6": "type ipv6_addr; counter;",
}
"""`own`: an address next to itself, for instances that call their own published port. `full`: stopped, and
as many packets wait already as may.
"""
MAPS = {
    "published4": "type inet_proto . inet_service : ipv4_addr . inet_service;",
    "published6": "type inet_proto . inet_service : ipv6_addr . inet_service;",
    "published_at4": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service;",
    "published_at6": "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service;",
}


def base(pool: Pool, trapping: Trapping) -> str:
    """Return the commands that make the table, or bring its chains up to date and leave the sets'
    elements.
    """
    lines = [f"add table {TABLE}"]
    lines += [f"add set {TABLE} {name} {{ {text} }}" for name, text in SETS.items()]
    lines += [f"add map {TABLE} {name} {{ {text} }}" for name, text in MAPS.items()]
    for chain, (hook, rules) in _chains(pool, trapping).items():
        lines += [f"add chain {TABLE} {chain} {{ type {hook}; }}", f"flush chain {TABLE} {chain}"]
        lines += [f"add rule {TABLE} {chain} {rule}" for rule in rules]
    for version in (4, 6):
        lines.append(f"flush set {TABLE} ignored{version}")
        if networks := trapping.networks(version):
            lines.append(add(f"ignored{version}", networks))
    return "\n".join(lines)


def _chains(pool: Pool, trapping: Trapping) -> dict[str, tuple[str, list[str]]]:
    publish = [
        "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at4",
        "fib daddr type local dnat ip to meta l4proto . th dport map @published4",
        "fib daddr type local dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6",
        "fib daddr type local dnat ip6 to meta l4proto . th dport map @published6",
    ]
    return {
        "guard": (
            "filter hook prerouting priority raw",
            [
                "iifname @links ip daddr 127.0.0.0/8 drop",
                "iifname @links ip6 daddr ::1 drop",
            ],
        ),
        "publish_forwarded": ("nat hook prerouting priority dstnat", publish),
        "publish_local": ("nat hook output priority -100", publish),
        "observe": (
            "filter hook postrouting priority mangle - 20",
            [
                f"{ip} daddr @instances{version} ct direction original ct mark and {MARK:#x} == 0 "
                f"ct mark set ct mark or {MARK:#x}"
                for ip, version in (("ip", 4), ("ip6", 6))
            ],
        ),
        "trap": ("filter hook postrouting priority mangle - 10", _trap(trapping)),
        "translate": (
            "nat hook postrouting priority srcnat",
            [
                f"ip saddr 127.0.0.0/8 oifname @links snat ip to {pool.gateway4}",
                f"ip6 saddr ::1 oifname @links snat ip6 to {pool.gateway6}",
                f"ip saddr . ip daddr @own4 snat ip to {pool.gateway4}",
                f"ip6 saddr . ip6 daddr @own6 snat ip6 to {pool.gateway6}",
                "ip saddr @instances4 oifname != @links masquerade",
                "ip6 saddr @instances6 oifname != @links masquerade",
            ],
        ),
    }


def _trap(trapping: Trapping) -> list[str]:
    # an error about a packet of its own ("host unreachable", say) is nobody who calls
    rules = ["ip saddr @ignored4 return", "ip6 saddr @ignored6 return", "ct state related return"]
    if not trapping.replies:
        rules.append("ct direction reply return")
    hold = (
        f"queue num {trapping.queue}"
        if trapping.nft_queues
        else f"meta mark set meta mark or {HOLD_MARK:#x} return"
    )
    for ip, version in (("ip", 4), ("ip6", 6)):
        rules += [
            f"{ip} daddr @full{version} drop",
            f"{ip} daddr @stopped{version} {hold}",
            f"{ip} daddr @sleeping{version} log group {trapping.log_group} snaplen 96 queue-threshold 1",
        ]
    return rules


def remove_table() -> str:
    """Return the commands that take everything away, whether it is there or not."""
    return f"add table {TABLE}\ndelete table {TABLE}"


def add(name: str, elements: Iterable[str]) -> str:
    """Return the command that puts elements into a set or map; those that are there stay."""
    return f"add element {TABLE} {name} {{ {', '.join(elements)} }}"


def delete(name: str, elements: Iterable[str]) -> str:
    """Return the command that takes elements out; refused when one is not there."""
    return f"delete element {TABLE} {name} {{ {', '.join(elements)} }}"


def take_out(name: str, element: str) -> str:
    """Return commands that take an element out of a set, whether it is there or not."""
    return f"{add(name, [element])}\n{delete(name, [element])}"


def membership(addresses: Addresses) -> dict[str, str]:
    """Return the sets an instance is in while it exists, and its element in each."""
    return {
        "links": f'"{addresses.link}"',
        "instances4": str(addresses.ipv4),
        "instances6": str(addresses.ipv6),
        "own4": f"{addresses.ipv4} . {addresses.ipv4}",
        "own6": f"{addresses.ipv6} . {addresses.ipv6}",
    }


TRAP_SETS = ("sleeping", "stopped", "full")


@dataclass(frozen=True, slots=True)
class Publication:
    """One element of one of the maps: a port of the host and where it leads."""

    map: str
    key: str
    value: str
    port: PublishedPort = field(compare=False)

    @property
    def element(self) -> str:
        """The element as nft writes it."""
        return f"{self.key} : {self.value}"


def publications(ports: Iterable[PublishedPort], addresses: Addresses) -> list[Publication]:
    """Return the map elements of an instance's ports; a port without a host address is there for both IP
    versions.
    """
    found = []
    for port in ports:
        key = f"{port.protocol} . {port.host_port}"
        four = f"{addresses.ipv4} . {port.instance_port}"
        six = f"{addresses.ipv6} . {port.instance_port}"
        if port.host_address is None:
            found += [
                Publication("published4", key, four, port),
                Publication("published6", key, six, port),
            ]
        elif ":" in port.host_address:
            found.append(Publication("published_at6", f"{port.host_address} . {key}", six, port))
        else:
            found.append(Publication("published_at4", f"{port.host_address} . {key}", four, port))
    return found
