"""Which addresses, names and user an instance gets. Pure: everything follows from the instance's id and
what is taken.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hostagent.errors import HostError
from hostagent.instances.model import Addresses, InstanceId

NAMESPACE_PREFIX = "catnap-"
"""What the names of our network namespaces begin with."""
LINK_PREFIX = "cat"
"""What the names of our ends of cables begin with."""
_LINK_DIGITS = 12
"""Characters of the digest after the prefix: 15 is the longest that Linux takes."""


class NoAddressLeftError(HostError):
    """Every address or user of the ranges is given to an instance."""

    code = "no_address_left"
    status = 507


@dataclass(frozen=True, slots=True)
class Pool:
    """The ranges that instances share; a number n gives the n-th address of each, and the n-th user."""

    subnet4: IPv4Network
    subnet6: IPv6Network
    first_uid: int
    uids: int

    @property
    def gateway4(self) -> IPv4Address:
        """The host's own address towards instances."""
        return self.subnet4[1]

    @property
    def gateway6(self) -> IPv6Address:
        """The host's own address towards instances."""
        return self.subnet6[1]

    @property
    def size(self) -> int:
        """How many instances fit; the network's, the host's and the broadcast address are nobody's."""
        return max(
            0, min(self.subnet4.num_addresses - 3, self.subnet6.num_addresses - 2, self.uids, 0xFFFFFF)
        )


def allocate(pool: Pool, instance: InstanceId, taken: Iterable[Addresses]) -> Addresses:
    """Return what the instance gets; nothing in it is in `taken`. Raises NoAddressLeftError.

    The search begins at a place given by the id, so that the address of a removed instance is not the next
    one's: whoever still sends to it does not reach a stranger.
    """
    used4, used6, uids, links, macs = set(), set(), set(), set(), set()
    for other in taken:
        used4.add(other.ipv4)
        used6.add(other.ipv6)
        uids.add(other.uid)
        links.add(other.link)
        macs.add(other.mac)
    digest = hashlib.sha256(instance.encode()).digest()
    first = int.from_bytes(digest[:8]) % pool.size if pool.size else 0
    for step in range(pool.size):
        number = (first + step) % pool.size
        ipv4, ipv6 = pool.subnet4[number + 2], pool.subnet6[number + 2]
        mac = _mac(number)
        if ipv4 in used4 or ipv6 in used6 or pool.first_uid + number in uids or mac in macs:
            continue
        return Addresses(
            ipv4, ipv6, mac, _link(digest, links), NAMESPACE_PREFIX + instance, pool.first_uid + number
        )
    raise NoAddressLeftError(
        f"none of the {pool.size} addresses of {pool.subnet4} and {pool.subnet6} is free; "
        "remove instances, or give network.subnet4, network.subnet6 and process.uids more room"
    )


def host_mac(mac: str) -> str:
    """Return the hardware address of the host's end of the cable: the instance's with one bit changed."""
    first, rest = mac[:2], mac[2:]
    return f"{int(first, 16) ^ 0x04:02x}{rest}"


def _mac(number: int) -> str:
    """Locally administered, and ours by the second and third byte."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0xCA, 0x70, *number.to_bytes(3)))


def _link(digest: bytes, taken: set[str]) -> str:
    text = digest.hex()
    for start in range(len(text) - _LINK_DIGITS):
        if (name := LINK_PREFIX + text[start : start + _LINK_DIGITS]) not in taken:
            return name
    raise NoAddressLeftError("no name is left for the cable")  # pragma: no cover (50 equal digests)
