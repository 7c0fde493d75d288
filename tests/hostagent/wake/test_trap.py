"""Packets to trapped instances, with the real kernel: each wakes, and none is lost on the way."""

import asyncio
import functools
import select
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from hostagent.clock import SystemClock
from hostagent.instances.model import Addresses, InstanceId, InstanceSpec, PublishedPort
from hostagent.network import namespaces, rules
from hostagent.network.contract import WakePacket
from hostagent.network.host_network import HostNetwork
from hostagent.wake import listener
from hostagent.wake.trap import PacketTrap
from tests.hostagent import own_host
from tests.hostagent.own_host import POOL, Outside, call, made, new_id, served
from tests.waiting import until

SPEC = InstanceSpec("name", ("true",), ports=(PublishedPort(8080, 80), PublishedPort(5300, 53, "udp")))
PROTOCOL = {"tcp": 6, "udp": 17}
PORT = {"tcp": 80, "udp": 53}


@dataclass
class Host:
    """A host with one instance, and what its trap told."""

    network: HostNetwork
    instance: InstanceId
    addresses: Addresses
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    told: list[tuple[InstanceId, WakePacket]] = field(default_factory=list)
    traps: list[PacketTrap] = field(default_factory=list)

    def trap(self, max_pending: int = 16, deadline: float = 20.0) -> PacketTrap:
        self.registry = CollectorRegistry()
        trap = PacketTrap(
            self.network,
            SystemClock(),
            max_pending=max_pending,
            deadline=deadline,
            registry=self.registry,
        )
        self.traps.append(trap)
        return trap

    def note(self, instance: InstanceId, packet: WakePacket) -> None:
        self.told.append((instance, packet))

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"catnap_host_{name}", labels) or 0.0

    def address(self, version: int) -> str:
        return str(self.addresses.ipv4 if version == 4 else self.addresses.ipv6)

    async def woken(self) -> WakePacket:
        await until(lambda: self.told, within=5, what="a packet wakes the instance")
        assert self.told[0][0] == self.instance
        return self.told[0][1]


@asynccontextmanager
async def a_host(directory: Path, trapping: rules.Trapping | None = None) -> AsyncIterator[Host]:
    own_host.require_own_network()
    network = HostNetwork(POOL, directory, trapping)
    host: Host | None = None
    try:
        await network.start()
        instance = new_id()
        addresses = network.allocate(instance, [])
        await network.attach(instance, SPEC, addresses)
        host = Host(network, instance, addresses)
        yield host
    finally:
        for trap in host.traps if host else ():
            await trap.stop()
        await network.teardown()
        await network.stop()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with a_host(tmp_path) as host:
        yield host


@pytest.fixture
async def trap(host: Host) -> PacketTrap:
    trap = host.trap()
    await trap.start(host.note)
    return trap


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    own_host.require_own_network()
    with Outside() as other:
        yield other


def require_hold(host: Host) -> None:
    if host.network.hold_refusal is not None:
        pytest.skip(f"packets cannot be held here: {host.network.hold_refusal}")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("where", ["host", "outside", "published"])
async def test_the_first_packet_wakes_and_goes_on(
    host: Host, trap: PacketTrap, outside: Outside, where: str, kind: str, version: int
) -> None:
    await trap.install(host.instance, host.addresses, hold=False)
    port = PORT[kind]
    target, called = host.address(version), port
    if where == "published":
        target = outside.gateway4 if version == 4 else outside.gateway6
        called = {"tcp": 8080, "udp": 5300}[kind]

    def ask() -> str:
        return call(kind, target, called)

    with served(host.addresses.netns, kind, port):
        asked = asyncio.to_thread(ask if where == "host" else lambda: outside.run(ask))
        source = await asked
    packet = await host.woken()
    assert (str(packet.destination), packet.destination_port) == (host.address(version), port)
    assert (str(packet.source), packet.protocol) == (source, PROTOCOL[kind])
    await trap.remove(host.instance)
    host.told.clear()
    with served(host.addresses.netns, kind, port):
        await asyncio.to_thread(ask)
    assert host.told == []


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_flow_from_before_wakes(host: Host, trap: PacketTrap, kind: str, version: int) -> None:
    with served(host.addresses.netns, kind, PORT[kind]), made(kind, host.address(version)) as kept:
        kept.settimeout(15)
        await asyncio.to_thread(kept.connect, (host.address(version), PORT[kind]))
        kept.send(b"hello")
        await asyncio.to_thread(kept.recv, 100)
        await trap.install(host.instance, host.addresses, hold=False)
        assert host.told == []
        kept.send(b"are you there?")
        assert await asyncio.to_thread(kept.recv, 100)
        assert (await host.woken()).source_port == kept.getsockname()[1]
        await trap.remove(host.instance)


@pytest.mark.parametrize("version", [4, 6])
async def test_whom_it_is_for_is_told_before_anything_else(host: Host, version: int) -> None:
    trap = host.trap()
    order: list[object] = []
    await trap.start(lambda instance, packet: order.append(packet.destination), order.append)
    await trap.install(host.instance, host.addresses, hold=False)
    with made("udp", host.address(version)) as sock:
        sock.sendto(b"x", (host.address(version), 53))
        await until(lambda: len(order) == 2, within=5, what="both are told")
        assert [str(one) for one in order] == [host.instance, host.address(version)]
        await trap.remove(host.instance)
        sock.sendto(b"x", (host.address(version), 53))
    assert len(order) == 2


@pytest.mark.parametrize("version", [4, 6])
async def test_a_ping_wakes(host: Host, trap: PacketTrap, version: int) -> None:
    await trap.install(host.instance, host.addresses, hold=False)
    await asyncio.to_thread(send_ping, host.address(version))
    packet = await host.woken()
    assert (packet.protocol, packet.destination_port) == (1 if version == 4 else 58, None)


def send_ping(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    protocol, kind = (socket.IPPROTO_ICMPV6, 128) if ":" in address else (socket.IPPROTO_ICMP, 8)
    echo = bytes([kind, 0]) + ((0xFFFF - (kind << 8) - 1).to_bytes(2)) + bytes([0, 1, 0, 0])
    with socket.socket(family, socket.SOCK_RAW, protocol) as sock:
        sock.sendto(echo, (address, 0))


async def test_ignored_networks_do_not_wake(tmp_path: Path, outside: Outside) -> None:
    trapping = rules.Trapping(("10.98.0.0/16", "fd98::/16"))
    async with a_host(tmp_path, trapping) as host:
        trap = host.trap()
        await trap.start(host.note)
        await trap.install(host.instance, host.addresses, hold=False)
        with served(host.addresses.netns, "udp", 53):
            for version in (4, 6):
                await asyncio.to_thread(
                    outside.run, functools.partial(call, "udp", host.address(version), 53)
                )
            assert host.told == []
            await asyncio.to_thread(call, "udp", host.address(4), 53)
        assert str((await host.woken()).source) == str(POOL.gateway4)


@pytest.mark.parametrize("replies", [False, True])
async def test_answers_to_the_instance_wake_only_if_wanted(
    tmp_path: Path, outside: Outside, replies: bool
) -> None:
    async with a_host(tmp_path, rules.Trapping(replies=replies)) as host:
        trap = host.trap()
        await trap.start(host.note)
        own = namespaces.run(host.addresses.netns, lambda: made("udp", outside.ipv4))
        with own, served(outside.name, "udp", 70), served(host.addresses.netns, "udp", 53):
            own.settimeout(15)
            own.connect((outside.ipv4, 70))
            await trap.install(host.instance, host.addresses, hold=False)
            own.send(b"who am I?")
            await asyncio.to_thread(own.recv, 100)
            await asyncio.to_thread(outside.run, lambda: call("udp", host.address(4), 53))
            await host.woken()
            await until(lambda: len(host.told) >= 1 + replies, within=5, what="both were told")
        ports = [packet.source_port for _, packet in host.told]
        assert (70 in ports) is replies


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["tcp", "udp"])
async def test_a_packet_to_a_stopped_instance_waits_for_its_service(
    host: Host, trap: PacketTrap, outside: Outside, kind: str, version: int
) -> None:
    require_hold(host)
    await trap.install(host.instance, host.addresses, hold=True)
    target = outside.gateway4 if version == 4 else outside.gateway6
    called = {"tcp": 8080, "udp": 5300}[kind]
    asked = asyncio.create_task(asyncio.to_thread(outside.run, lambda: call(kind, target, called, within=10)))
    packet = await host.woken()
    assert [held.destination_port for held in trap.held(host.instance)] == [PORT[kind]]
    assert packet.source_port is not None
    assert not asked.done()
    with served(host.addresses.netns, kind, PORT[kind]):
        await trap.release(host.instance)
        assert trap.held(host.instance) == []
        assert await asked == (outside.ipv4 if version == 4 else outside.ipv6)
        # those to come go on, too
        told = len(host.told)
        await asyncio.to_thread(outside.run, lambda: call(kind, target, called))
        assert len(host.told) == told
    await trap.remove(host.instance)
    assert host.metric("held_packets_total") >= 1
    assert host.metric("waiting_packets") == 0


async def test_only_so_many_wait(host: Host, outside: Outside) -> None:
    require_hold(host)
    trap = host.trap(max_pending=3)
    await trap.start(host.note)
    await trap.install(host.instance, host.addresses, hold=True)
    received = namespaces.run(host.addresses.netns, lambda: made("udp", host.address(4)))
    with outside.run(lambda: made("udp", host.address(4))) as sock, received:
        received.bind((host.address(4), 53))
        received.setblocking(False)
        for number in range(3):
            sock.sendto(bytes([number]), (host.address(4), 53))
        await until(lambda: len(trap.held(host.instance)) == 3, within=5, what="three wait")
        for number in range(3, 103):
            sock.sendto(bytes([number]), (host.address(4), 53))
        # to the other address as many may wait
        with outside.run(lambda: made("udp", host.address(6))) as other:
            other.sendto(b"x", (host.address(6), 53))
        await until(lambda: len(trap.held(host.instance)) == 4, within=5, what="one of IPv6 waits")
        assert len(host.told) == 4
        await trap.release(host.instance)
        await until(lambda: select.select([received], [], [], 0)[0], within=5, what="they arrive")
        assert [received.recv(10)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(BlockingIOError):
            received.recv(10)
    assert host.metric("dropped_packets_total", reason="limit") == 100
    assert host.metric("held_packets_total") == 4


async def test_none_waits_for_ever(host: Host) -> None:
    require_hold(host)
    trap = host.trap(max_pending=2, deadline=0.2)
    await trap.start(host.note)
    await trap.install(host.instance, host.addresses, hold=True)

    def holds(number: int) -> bool:
        return len(trap.held(host.instance)) == number

    with made("udp", host.address(4)) as sock:
        for _ in range(2):
            for number in (1, 2):
                sock.sendto(b"x", (host.address(4), 53))
                await until(functools.partial(holds, number), within=5, what="it waits")
            await until(lambda: not trap.held(host.instance), within=5, what="both are given up")
    assert host.metric("dropped_packets_total", reason="deadline") == 4


@pytest.mark.parametrize("hold", [False, True])
async def test_what_came_while_no_agent_listened_wakes(host: Host, hold: bool) -> None:
    if hold:
        require_hold(host)
    first = host.trap()
    await first.start(host.note)
    await first.install(host.instance, host.addresses, hold=hold)
    await first.stop()
    with made("udp", host.address(6)) as sock:
        sock.sendto(b"x", (host.address(6), 53))
    # rules are made again, as when an agent starts
    await host.network.start()
    second = host.trap()
    await second.start(host.note)
    assert host.told == []
    await second.install(host.instance, host.addresses, hold=hold)
    assert str((await host.woken()).destination) == host.address(6)
    host.told.clear()
    # between the start and the installation, too
    await second.stop()
    third = host.trap()
    await third.start(host.note)
    with made("udp", host.address(4)) as sock:
        sock.sendto(b"x", (host.address(4), 53))
    await third.install(host.instance, host.addresses, hold=hold)
    await until(
        lambda: any(str(packet.destination) == host.address(4) for _, packet in host.told),
        within=5,
        what="it is told",
    )
    await third.stop()


async def test_who_is_not_installed_again_is_forgotten(host: Host) -> None:
    require_hold(host)
    first = host.trap()
    await first.start(host.note)
    await first.install(host.instance, host.addresses, hold=True)
    await first.stop()
    second = host.trap()
    await second.start(host.note)
    with served(host.addresses.netns, "udp", 53):
        asked = asyncio.create_task(asyncio.to_thread(call, "udp", host.address(4), 53))
        await until(lambda: host.metric("waiting_packets") == 1, within=5, what="it waits")
        await second.settle()
        assert await asked
    for name in ("sleeping4", "stopped4", "full4", "sleeping6", "stopped6", "full6"):
        assert host.network.nft.list_elements(rules.TABLE, name) == []
    await second.stop()


async def test_from_stopped_to_frozen_lets_go(host: Host, trap: PacketTrap) -> None:
    require_hold(host)
    await trap.install(host.instance, host.addresses, hold=True)
    with served(host.addresses.netns, "udp", 53):
        asked = asyncio.create_task(asyncio.to_thread(call, "udp", host.address(4), 53))
        await host.woken()
        await trap.install(host.instance, host.addresses, hold=False)
        assert await asked
    # its next packet is logged, not held
    host.told.clear()
    with made("udp", host.address(6)) as sock:
        sock.sendto(b"x", (host.address(6), 53))
    await host.woken()
    assert trap.held(host.instance) == []


async def test_a_flood_is_told_a_few_times_only(host: Host, trap: PacketTrap) -> None:
    await trap.install(host.instance, host.addresses, hold=False)
    with made("udp", host.address(4)) as sock:
        for _ in range(3000):
            sock.sendto(b"x", (host.address(4), 53))
    await host.woken()
    counted = [
        element["elem"]["counter"]["packets"]  # type: ignore[index,call-overload]
        for element in host.network.nft.list_elements(rules.TABLE, "sleeping4")
    ]
    assert counted == [3000]
    # 20 a second and 5 at once; the flood takes far less than 10 seconds
    assert 5 <= len(host.told) <= 200
    assert host.metric("trap_packets_total") == len(host.told)


async def test_nobody_is_missed_when_the_agent_is_too_slow(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_BUFFER", 2048)
    trap = host.trap()
    await trap.start(host.note)
    taken = [host.addresses]
    sleepers = {}
    for _ in range(30):
        instance = new_id()
        addresses = host.network.allocate(instance, taken)
        taken.append(addresses)
        sleepers[instance] = addresses
        own_host.ip("route", "add", f"{addresses.ipv4}/32", "dev", host.addresses.link)
        await trap.install(instance, addresses, hold=False)
    with made("udp", host.address(4)) as sock:
        for addresses in sleepers.values():
            sock.sendto(b"x", (str(addresses.ipv4), 53))
    await until(
        lambda: {instance for instance, _ in host.told} == set(sleepers), within=5, what="all are told"
    )
    assert host.metric("trap_overruns_total") >= 1


async def test_another_agent_is_named(host: Host, trap: PacketTrap) -> None:
    second = host.trap()
    with pytest.raises(listener.TrapError, match="log group 7211"):
        await second.start(host.note)
    await second.stop()
