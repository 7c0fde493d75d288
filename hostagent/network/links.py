"""The cable between the host and an instance: a veth pair with routes to one address each, and no bridge.

Bridged packets would pass connection tracking by. Neighbours are permanent on both sides, so that nothing
is asked for and nothing has to be answered while an instance sleeps.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from hostagent.errors import HostError
from hostagent.instances.model import Addresses
from hostagent.network import namespaces
from hostagent.network.addressing import LINK_PREFIX, NAMESPACE_PREFIX, Pool, host_mac
from hostagent.network.sysctls import Sysctls

INNER_NAME = "eth0"
"""What the instance calls its end."""
_PERMANENT = 0x80
"""NUD_PERMANENT."""
_ONLINK = 4
"""RTNH_F_ONLINK: the gateway needs no network around it."""
_LOOPBACK = 1
_LOCAL = 255
"""The routing table of the host's own addresses."""
_BEHIND = 4096
"""A metric behind the loopback interface's own route."""
_QUIET = {"disable_ipv6": "0", "addr_gen_mode": "1", "accept_dad": "0", "accept_ra": "0"}
"""No link-local address, no duplicate detection, no routers: no packets but those that somebody sends."""
Address = IPv4Address | IPv6Address


class LinkError(HostError):
    """The kernel refused an interface, address or route."""


class Links:
    """Makes and removes cables in the network namespace we are in."""

    def __init__(self, pool: Pool, sysctls: Sysctls) -> None:
        """Give the host's end the first address of each network of `pool`."""
        self._pool = pool
        self._sysctls = sysctls

    @property
    def has_ipv6(self) -> bool:
        """Whether this kernel was started with IPv6."""
        return self._sysctls.read("net/ipv6/conf/all/disable_ipv6") is not None

    def start(self) -> None:
        """Give the host its address towards instances. It is on the loopback interface: one for all
        cables.
        """
        if self.has_ipv6:
            self._sysctls.change("net/ipv6/conf/lo/disable_ipv6", "0")
        with _route() as route:
            for gateway in self._gateways():
                with _unless(errno.EEXIST):
                    route.addr("add", index=_LOOPBACK, address=str(gateway), prefixlen=gateway.max_prefixlen)

    def attach(self, addresses: Addresses) -> None:
        """Make what is missing of one instance's namespace and cable; what is there stays as it is."""
        if not namespaces.exists(addresses.netns):
            namespaces.create(addresses.netns)
        with _route() as route:
            index = _index(addresses.link)
            if index is None or not namespaces.run(addresses.netns, lambda: _index(INNER_NAME)):
                if index is not None:
                    route.link("del", index=index)
                _make_pair(route, addresses)
                index = _index(addresses.link)
            if index is None:
                raise LinkError(f"the interface {addresses.link} is gone as soon as it is made")
            self._configure_outer(route, index, addresses)
        namespaces.run(addresses.netns, lambda: self._configure_inner(addresses))

    def detach(self, addresses: Addresses) -> None:
        """Remove the cable and the namespace's name."""
        with _route() as route:
            if (index := _index(addresses.link)) is not None:
                with _unless(errno.ENODEV):
                    route.link("del", index=index)
        namespaces.remove(addresses.netns)

    def teardown(self) -> None:
        """Remove every cable of ours with its namespace, and the host's addresses."""
        with _route() as route:
            for link in list(route.get_links()):
                name = str(link.get_attr("IFLA_IFNAME"))
                alias = str(link.get_attr("IFLA_IFALIAS") or "")
                if name.startswith(LINK_PREFIX) and alias.startswith(NAMESPACE_PREFIX):
                    with _unless(errno.ENODEV):
                        route.link("del", index=int(link["index"]))
                    namespaces.remove(alias)
            for gateway in self._gateways():
                with _unless(errno.EADDRNOTAVAIL):
                    route.addr("del", index=_LOOPBACK, address=str(gateway), prefixlen=gateway.max_prefixlen)

    def _configure_outer(self, route: IPRoute, index: int, addresses: Addresses) -> None:
        self._prepare(addresses.link)
        self._sysctls.write(f"net/ipv4/conf/{addresses.link}/route_localnet", "1")
        route.link("set", index=index, ifalias=addresses.netns, state="up")
        if self.has_ipv6:
            # what [::1] callers are answered comes in here for ::1; Linux looks for its route on this
            # interface only
            route.route(
                "replace", dst="::1/128", oif=index, table=_LOCAL, type="local", priority=_BEHIND + index
            )
        for address, gateway in self._pairs(addresses):
            route.neigh("replace", dst=str(address), lladdr=addresses.mac, ifindex=index, state=_PERMANENT)
            route.route("replace", dst=f"{address}/{address.max_prefixlen}", oif=index, prefsrc=str(gateway))

    def _configure_inner(self, addresses: Addresses) -> None:
        """Run inside the instance's namespace."""
        with _route() as route:
            index = _index(INNER_NAME)
            if index is None:
                raise LinkError(f"the namespace {addresses.netns} has no interface {INNER_NAME}")
            self._prepare(INNER_NAME)
            route.link("set", index=_LOOPBACK, state="up")
            route.link("set", index=index, state="up")
            for address, gateway in self._pairs(addresses):
                with _unless(errno.EEXIST):
                    route.addr("add", index=index, address=str(address), prefixlen=address.max_prefixlen)
                mac = host_mac(addresses.mac)
                route.neigh("replace", dst=str(gateway), lladdr=mac, ifindex=index, state=_PERMANENT)
                route.route(
                    "replace",
                    dst="default",
                    gateway=str(gateway),
                    oif=index,
                    flags=_ONLINK,
                    family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                )

    def _gateways(self) -> Iterator[Address]:
        yield self._pool.gateway4
        if self.has_ipv6:
            yield self._pool.gateway6

    def _pairs(self, addresses: Addresses) -> Iterator[tuple[Address, Address]]:
        yield addresses.ipv4, self._pool.gateway4
        if self.has_ipv6:
            yield addresses.ipv6, self._pool.gateway6

    def _prepare(self, interface: str) -> None:
        """Keep the kernel from addresses and packets of its own there."""
        if self.has_ipv6:
            for key, value in (
                ("disable_ipv6", 0),
                ("addr_gen_mode", 1),
                ("accept_dad", 0),
                ("accept_ra", 0),
            ):
                self._sysctls.write(f"net/ipv6/conf/{interface}/{key}", str(value))


def _make_pair(route: IPRoute, addresses: Addresses) -> None:
    route.link(
        "add",
        ifname=addresses.link,
        kind="veth",
        address=host_mac(addresses.mac),
        peer={"ifname": INNER_NAME, "address": addresses.mac, "net_ns_fd": addresses.netns},
    )


@contextmanager
def _route() -> Iterator[IPRoute]:
    try:
        with IPRoute() as route:
            yield route
    except NetlinkError as error:
        raise LinkError(f"the kernel refuses an interface, address or route: {error}") from error


@contextmanager
def _unless(number: int) -> Iterator[None]:
    """Go on when the kernel answers with this error: what is wanted is the case already."""
    try:
        yield
    except NetlinkError as error:
        if error.code != number:
            raise


def _index(name: str) -> int | None:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None
