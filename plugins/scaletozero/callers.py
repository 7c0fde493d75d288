"""Who may ask the gate why it is awake, and who may change that: pure.

The shared browser lives on this machine, and any page in it could call us; so no address of this machine is
trusted, and a request that a browser made for a page changes nothing, whatever credentials it carries.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

BROWSER_HEADERS = ("origin", "sec-fetch-site")
"""What browsers add to requests that can change something, and no page can leave out.

`Origin` (Fetch standard §3.2) goes with every method but GET and HEAD, `Sec-Fetch-Site` (Fetch Metadata §2.4)
with all of them, but to https and localhost alone.
"""


def made_by_page(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser made the request; the names in `headers` are in lower case or do not matter."""
    return any(name in headers for name in BROWSER_HEADERS)


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of `scaletozero.trusted_cidrs`.

    Raises:
        ValueError: one is no network, or is one of loopback; the message names it and what to write.
    """
    return tuple(map(_network, cidrs))


def _network(cidr: str) -> Network:
    try:
        network = ipaddress.ip_network(cidr.strip())
    except ValueError as error:
        raise ValueError(f"{cidr!r} is no network: {error}; write it as 10.0.0.0/8 or fd00::/8") from None
    if network.network_address.is_loopback:
        raise ValueError(
            f"{cidr!r} is loopback, which is never trusted: the pages of the shared browser call from there; "
            "use `catnap scaletozero` or a token"
        )
    return network


def is_trusted(peer: str | None, reached: str | None, trusted: Iterable[Network]) -> bool:
    """Tell whether a caller at `peer` needs no credentials.

    Args:
        peer: its address; behind `server.proxy` the forwarded one.
        reached: the address of ours that it came to. A caller with the same address is on this machine.
        trusted: whose callers are trusted. Loopback never is, even inside 0.0.0.0/0.
    """
    address, ours = _address(peer), _address(reached)
    if address is None or address.is_loopback or address.is_unspecified or address == ours:
        return False
    return any(address.version == network.version and address in network for network in trusted)


def _address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
