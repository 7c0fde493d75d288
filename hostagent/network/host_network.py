"""The network of one host: what `contract.Network` promises, made of addressing, links, rules and kernel
settings.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from hostagent.errors import HostError
from hostagent.instances.model import Addresses, InstanceId, InstanceSpec
from hostagent.logs import get_logger
from hostagent.netlink import conntrack
from hostagent.netlink.socket import NetfilterSocket
from hostagent.network import addressing, hold_rules, rules
from hostagent.network.links import Links
from hostagent.network.nft import Nft, NftError
from hostagent.network.published_ports import PublishedPorts
from hostagent.network.sysctls import Sysctls

log = get_logger("network")


class HostNetwork:
    """Works in the network namespace of the thread that calls `start`.

    What takes milliseconds runs in one thread of its own, so that the loop goes on and no two changes
    overlap.
    """

    def __init__(self, pool: addressing.Pool, run_dir: Path, trapping: rules.Trapping | None = None) -> None:
        """Keep what kernel settings were before us in `run_dir`, which a reboot empties as it empties
        them.
        """
        self._pool = pool
        self._trapping = trapping or rules.Trapping()
        self._sysctls = Sysctls(run_dir / "sysctls.json")
        self._links = Links(pool, self._sysctls)
        self._nft: Nft | None = None
        self.hold_refusal: str | None = "the network was not started"
        """Why packets to stopped instances cannot be held here; None when they can."""
        self._thread = ThreadPoolExecutor(1, "catnap-network")

    @property
    def nft(self) -> Nft:
        """The rules, for who watches them; there once `start` has returned."""
        if self._nft is None:
            raise HostError("the network was not started")
        return self._nft

    async def start(self) -> None:
        """Make the table and turn connection tracking and forwarding on; raises HostError naming what is
        missing.
        """
        await self._run(self._start)

    def allocate(self, instance: InstanceId, taken: list[Addresses]) -> Addresses:
        """Return addresses nobody in `taken` has; raises NoAddressLeftError."""
        return addressing.allocate(self._pool, instance, taken)

    async def attach(self, instance: InstanceId, spec: InstanceSpec, addresses: Addresses) -> None:
        """Make namespace, cable, routes, set members and published ports where they are missing."""
        await self._run(lambda: self._attach(spec, addresses))
        log.debug("attached", instance=instance, ipv4=str(addresses.ipv4), ipv6=str(addresses.ipv6))

    async def detach(self, instance: InstanceId, addresses: Addresses) -> None:
        """Remove all of it, and what the trap may have left."""
        await self._run(lambda: self._detach(addresses))
        log.debug("detached", instance=instance)

    async def teardown(self) -> None:
        """Remove every table, link and namespace this agent made, and put kernel settings back."""
        await self._run(self._teardown)

    async def stop(self) -> None:
        """Let go of the library and the thread; everything in the kernel stays, so that instances can be
        reached.
        """
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    def _start(self) -> None:
        if self._nft is None:
            self._nft = Nft()
            self._trapping = replace(self._trapping, nft_queues=hold_rules.nft_can_queue(self._nft))
        self._make_table(self._nft)
        if self._trapping.nft_queues:
            self.hold_refusal = None
        elif (refusal := hold_rules.install(self._trapping.queue)) != self.hold_refusal:
            self.hold_refusal = refusal
            if refusal is not None:
                log.warning("packets to stopped instances cannot be held", answer=refusal)
        self._links.start()
        change = self._sysctls.change
        change("net/netfilter/nf_conntrack_acct", "1")
        if self._sysctls.read("net/netfilter/nf_conntrack_events") == "0":
            change("net/netfilter/nf_conntrack_events", "1")
        change("net/ipv4/ip_forward", "1")
        if self._links.has_ipv6:
            self._keep_router_advertisements()
            change("net/ipv6/conf/all/forwarding", "1")

    def _make_table(self, nft: Nft) -> None:
        commands = rules.base(self._pool, self._trapping)
        try:
            nft.run(commands)
        except NftError as error:
            # a table of an older agent whose sets were made differently
            log.warning("the table is made anew", found=str(error))
            nft.run(f"{rules.remove_table()}\n{commands}")

    def _keep_router_advertisements(self) -> None:
        """Without this the host would lose its own default route as soon as it forwards (accept_ra 1)."""
        for directory in Path("/proc/sys/net/ipv6/conf").iterdir():
            key = f"net/ipv6/conf/{directory.name}/accept_ra"
            if directory.name != "lo" and self._sysctls.read(key) == "1":
                self._sysctls.change(key, "2")

    def _attach(self, spec: InstanceSpec, addresses: Addresses) -> None:
        self._links.attach(addresses)
        members = rules.membership(addresses)
        self.nft.run("\n".join(rules.add(name, [element]) for name, element in members.items()))
        PublishedPorts(self.nft).publish(spec.ports, addresses)

    def _detach(self, addresses: Addresses) -> None:
        PublishedPorts(self.nft).publish((), addresses)
        members = rules.membership(addresses)
        commands = [rules.take_out(name, element) for name, element in members.items()]
        for name in rules.TRAP_SETS:
            commands.append(rules.take_out(f"{name}4", str(addresses.ipv4)))
            commands.append(rules.take_out(f"{name}6", str(addresses.ipv6)))
        self.nft.run("\n".join(commands))
        self._links.detach(addresses)
        _forget_flows(addresses)

    def _teardown(self) -> None:
        nft = self._nft or Nft()
        hold_rules.remove()
        nft.run(rules.remove_table())
        self._links.teardown()
        self._sysctls.restore()
        if nft is not self._nft:
            nft.close()

    def _close(self) -> None:
        if self._nft is not None:
            self._nft.close()
            self._nft = None

    async def _run(self, function: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, function)


def _forget_flows(addresses: Addresses) -> None:
    """Remove what the kernel tracks of an instance, so that no old flow leads to whoever has the address
    next.
    """
    sock = NetfilterSocket(1 << 20)
    try:
        for address in (addresses.ipv4, addresses.ipv6):
            for entry in list(conntrack.marked(sock, rules.MARK, answerer=address)):
                conntrack.forget(sock, entry)
    except OSError as error:
        log.info("flows of a removed instance stay until they time out", answer=str(error))
    finally:
        sock.close()
