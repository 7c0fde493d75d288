"""Which addresses we tell viewers to send to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import ifaddr
from aioice import Candidate
from aioice.candidate import candidate_foundation, candidate_priority

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_TCP_PREFERENCE, _PASSIVE, _MAX_OTHER = 90, 4, 8191
"""RFC 6544 §4.2: below any UDP candidate; passive is the better direction of a host that is waited for."""

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


def host_candidates(addresses: Sequence[Address], port: int, tcp_port: int | None = None) -> list[Candidate]:
    """Make one UDP host candidate per address, the first with the highest priority (RFC 8445 §5.1.2).

    With `tcp_port` there is a passive TCP candidate per address behind them (RFC 6544 §4.2).
    """
    offered = addresses[:MAX_CANDIDATES]
    candidates = [
        Candidate(
            foundation=candidate_foundation("host", "udp", str(address)),
            component=1,
            transport="udp",
            priority=candidate_priority(1, "host", 65535 - preference),
            host=str(address),
            port=port,
            type="host",
        )
        for preference, address in enumerate(offered)
    ]
    if tcp_port is not None:
        candidates += [
            Candidate(
                foundation=candidate_foundation("host", "tcp", str(address)),
                component=1,
                transport="tcp",
                priority=_TCP_PREFERENCE << 24 | (_PASSIVE << 13 | _MAX_OTHER - preference) << 8 | 255,
                host=str(address),
                port=tcp_port,
                type="host",
                tcptype="passive",
            )
            for preference, address in enumerate(offered)
        ]
    return candidates
