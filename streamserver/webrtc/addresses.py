"""Which addresses we tell viewers to send to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import ifaddr
from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_CANDIDATES = 16
"""A machine with more addresses than this advertises the first ones; see `webrtc.nat1to1`."""


def interface_addresses() -> list[Address]:
    """Return every address of this machine, those of the network before loopback."""
    found: list[Address] = []
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            found.append(ipaddress.ip_address(text.partition("%")[0]))
    return sorted(found, key=lambda address: address.is_loopback)


def usable(addresses: Iterable[Address], *, ipv6: bool) -> list[Address]:
    """Leave out what no viewer can use: link-local, unspecified and multicast addresses, and repetitions.

    Loopback stays: a viewer on this machine, or one that comes through a port published on it, uses that.
    """
    kept: dict[Address, None] = {}
    for address in addresses:
        if address.is_link_local or address.is_unspecified or address.is_multicast:
            continue
        if address.version == 4 or ipv6:
            kept[address] = None
    return list(kept)


def host_candidates(addresses: Sequence[Address], port: int) -> list[Candidate]:
    """Make one UDP host candidate per address, the first with the highest priority (RFC 8445 §5.1.2)."""
    return [
        Candidate(
            foundation=candidate_foundation("host", "udp", str(address)),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host", 65535 - preference),
            host=str(address),
            port=port,
            type="host",
        )
        for preference, address in enumerate(addresses[:MAX_CANDIDATES])
    ]
