"""Namespaces, cables, routes, rules and published ports for real: from the host, outside and within."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hostagent.activity.conntrack import ConntrackTable
from hostagent.errors import NameConflictError
from hostagent.instances.model import Addresses, InstanceSpec, PublishedPort
from hostagent.network import hold_rules, namespaces, rules
from hostagent.network.host_network import HostNetwork
from tests.hostagent import own_host
from tests.hostagent.own_host import POOL, Outside, call, new_id, served

PORTS = (
    PublishedPort(8080, 80),
    PublishedPort(5300, 53, "udp"),
    PublishedPort(8090, 80, "tcp", "127.0.0.1"),
    PublishedPort(8090, 80, "tcp", "::1"),
)


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[HostNetwork]:
    own_host.require_own_network()
    network = HostNetwork(POOL, tmp_path)
    await network.start()
    try:
        yield network
    finally:
        await network.teardown()
        await network.stop()


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    own_host.require_own_network()
    with Outside() as other:
        yield other


def spec(*ports: PublishedPort) -> InstanceSpec:
    return InstanceSpec("name", ("true",), ports=ports)


@contextmanager
def serving(addresses: Addresses) -> Iterator[None]:
    with served(addresses.netns, "tcp", 80), served(addresses.netns, "udp", 53):
        yield


async def test_an_instance_is_reached_from_everywhere_and_sees_who_calls(
    network: HostNetwork, outside: Outside
) -> None:
    instance = new_id()
    addresses = network.allocate(instance, [])
    await network.attach(instance, spec(*PORTS), addresses)
    gateway4, gateway6 = str(POOL.gateway4), str(POOL.gateway6)

    def from_host() -> list[str]:
        direct = [
            call(kind, str(address), port)
            for kind, port in (("tcp", 80), ("udp", 53))
            for address in (addresses.ipv4, addresses.ipv6)
        ]
        published = [
            call(kind, host, port)
            for kind, port in (("tcp", 8080), ("udp", 5300))
            for host in ("127.0.0.1", "::1", gateway4, gateway6)
        ]
        return direct + published + [call("tcp", host, 8090) for host in ("127.0.0.1", "::1")]

    def from_outside() -> list[str]:
        return [
            call(kind, host, port)
            for kind, port in (("tcp", 8080), ("udp", 5300))
            for host in (outside.gateway4, outside.gateway6)
        ] + [call("tcp", str(addresses.ipv4), 80), call("udp", str(addresses.ipv6), 53)]

    with serving(addresses):
        assert await asyncio.to_thread(from_host) == [gateway4, gateway6] * 7
        seen = await asyncio.to_thread(outside.run, from_outside)
        assert seen == [outside.ipv4, outside.ipv6] * 3
        # itself, by the host's port: what comes back must come by the way it went
        hairpin = await asyncio.to_thread(
            namespaces.run, addresses.netns, lambda: call("tcp", outside.gateway4, 8080)
        )
        assert hairpin == gateway4
        # only where it was published
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(outside.run, lambda: call("tcp", outside.gateway4, 8090))


async def test_an_instance_reaches_the_world_and_other_instances(
    network: HostNetwork, outside: Outside
) -> None:
    first, second = new_id(), new_id()
    one = network.allocate(first, [])
    two = network.allocate(second, [one])
    await network.attach(first, spec(PublishedPort(8080, 80)), one)
    await network.attach(second, spec(), two)
    ours4, ours6 = outside.gateway4, outside.gateway6

    def calls() -> list[str]:
        return [
            call("tcp", outside.ipv4, 70),
            call("tcp", outside.ipv6, 70),
            call("tcp", str(one.ipv4), 80),
            call("tcp", ours4, 8080),
        ]

    with serving(one), served(outside.name, "tcp", 70):
        seen = await asyncio.to_thread(namespaces.run, two.netns, calls)
    # the world sees the host, other instances see the instance
    assert seen == [ours4, ours6, str(two.ipv4), str(two.ipv4)]


async def test_loopback_of_the_host_is_not_open_to_instances(network: HostNetwork) -> None:
    """`route_localnet` on the cable would let an instance in that routes 127.0.0.5 to us."""
    instance = new_id()
    addresses = network.allocate(instance, [])
    await network.attach(instance, spec(), addresses)
    inside = ("-n", addresses.netns)
    gateway = ("via", str(POOL.gateway4), "dev", "eth0", "onlink")
    own_host.ip(*inside, "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local")
    own_host.ip(*inside, "route", "add", "127.0.0.5/32", *gateway)

    def reach(within: float) -> None:
        localnet = Path("/proc/sys/net/ipv4/conf/eth0/route_localnet")
        localnet.write_text("1")
        with socket.socket() as sock:
            sock.settimeout(within)
            sock.connect(("127.0.0.5", 7070))

    with socket.socket() as secret:
        secret.bind(("127.0.0.5", 7070))
        secret.listen()
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(namespaces.run, addresses.netns, lambda: reach(0.5))
        network.nft.run(f"flush chain {rules.TABLE} guard")
        await asyncio.to_thread(namespaces.run, addresses.netns, lambda: reach(15))


async def test_attaching_again_repairs_and_changes_nothing_else(network: HostNetwork) -> None:
    instance = new_id()
    addresses = network.allocate(instance, [])
    # what a kill in the middle leaves: a name without a namespace
    namespaces.DIRECTORY.mkdir(exist_ok=True)
    namespaces.path(addresses.netns).touch()
    await network.attach(instance, spec(PORTS[0]), addresses)
    with serving(addresses):
        await network.attach(instance, spec(PORTS[0]), addresses)
        assert await asyncio.to_thread(call, "tcp", "127.0.0.1", 8080) == str(POOL.gateway4)
        # the rules of an agent that starts again leave the elements
        await network.start()
        assert await asyncio.to_thread(call, "tcp", "127.0.0.1", 8080) == str(POOL.gateway4)
        # a cable without its other end, a port that is no longer published
        own_host.ip("link", "del", addresses.link)
        await network.attach(instance, spec(PORTS[1]), addresses)
        assert await asyncio.to_thread(call, "udp", "::1", 5300) == str(POOL.gateway6)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(call, "tcp", "127.0.0.1", 8080)


async def test_a_port_is_published_once_and_never_a_programs(network: HostNetwork) -> None:
    first, second = new_id(), new_id()
    one = network.allocate(first, [])
    two = network.allocate(second, [one])
    await network.attach(first, spec(PublishedPort(8080, 80)), one)
    with pytest.raises(NameConflictError, match=rf"8080/tcp.*{one.ipv4}"):
        await network.attach(second, spec(PublishedPort(8080, 80)), two)
    with socket.socket() as program:
        program.bind(("127.0.0.1", 0))
        program.listen()
        port = program.getsockname()[1]
        with pytest.raises(NameConflictError, match=f"{port}/tcp"):
            await network.attach(second, spec(PublishedPort(port, 80)), two)
    await network.detach(first, one)
    await network.attach(second, spec(PublishedPort(8080, 80)), two)


async def test_teardown_leaves_nothing(tmp_path: Path) -> None:
    own_host.require_own_network()
    before = _state()
    network = HostNetwork(POOL, tmp_path)
    await network.start()
    instance = new_id()
    addresses = network.allocate(instance, [])
    await network.attach(instance, spec(*PORTS), addresses)
    assert _state() != before
    await network.stop()
    # by an agent that made nothing of it
    other = HostNetwork(POOL, tmp_path)
    await other.teardown()
    await other.teardown()
    await other.stop()
    assert _state() == before
    assert not namespaces.path(addresses.netns).exists()
    assert list(tmp_path.iterdir()) == []


def tracked_by_others() -> int:
    lines = Path("/proc/net/nf_conntrack").read_text().splitlines()
    return sum(" dport=70 " in line for line in lines)


async def test_detach_is_complete_and_may_be_repeated(network: HostNetwork, outside: Outside) -> None:
    instance = new_id()
    addresses = network.allocate(instance, [])
    await network.attach(instance, spec(*PORTS), addresses)
    table = ConntrackTable(rules.MARK, CollectorRegistry())
    with serving(addresses), served(outside.name, "tcp", 70):
        for host in ("127.0.0.1", "::1"):
            await asyncio.to_thread(call, "tcp", host, 8080)
            await asyncio.to_thread(call, "udp", host, 5300)
        for host in (outside.ipv4, outside.ipv6):
            await asyncio.to_thread(call, "tcp", host, 70)
    tracked = tracked_by_others()
    assert len(table.flows((addresses.ipv4, addresses.ipv6))) == 4
    for _ in range(2):
        await network.detach(instance, addresses)
    assert table.flows((addresses.ipv4, addresses.ipv6)) == []
    assert tracked_by_others() >= tracked
    table.close()
    for name in rules.SETS:
        assert network.nft.list_elements(rules.TABLE, name) == []
    for name in rules.MAPS:
        assert network.nft.list_elements(rules.TABLE, name, "map") == []
    assert not namespaces.path(addresses.netns).exists()


def _state() -> list[str]:
    """Return what must be the same afterwards: rules, links, addresses, routes, kernel settings."""
    commands = ("nft list tables", "ip -br addr", "ip route", "ip -6 route", "iptables-save -t mangle")
    found = [
        subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
        for command in commands[:4]
    ]
    chains = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert hold_rules.CHAIN not in chains or "catnap_host" in chains
    keys = ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "netfilter/nf_conntrack_acct")
    ours = "\n".join(line for line in found[0].splitlines() if "catnap" in line)
    return [ours, *found[1:], *(Path("/proc/sys/net", key).read_text() for key in keys)]
