"""Real agents for tests: real runtime, network, trap and gate, in directories and a cgroup of their own."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from hostagent.app import HostAgent
from hostagent.instances.faults import Faults, no_faults
from hostagent.instances.model import AutoStandbyPolicy, InstanceSpec
from hostagent.instances.registry import Instance
from hostagent.settings import HostSettings, load_settings

PORT = 7000
"""Where the echo service is, TCP and UDP, IPv4 and IPv6."""
ECHO = f"""
import selectors, socket, sys
chooser = selectors.DefaultSelector()
tcp = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(("::", {PORT}))
for one in (tcp, udp):
    chooser.register(one, selectors.EVENT_READ)
print("ready", sys.argv[1:], flush=True)
while True:
    for key, _ in chooser.select():
        sock = key.fileobj
        if sock is tcp:
            chooser.register(tcp.accept()[0], selectors.EVENT_READ)
        elif sock is udp:
            data, caller = udp.recvfrom(2048)
            udp.sendto(data, caller)
        else:
            data = sock.recv(2048)
            if data:
                sock.send(data)
            else:
                chooser.unregister(sock)
                sock.close()
"""
COMMAND = ("/usr/bin/python3", "-c", ECHO)


@contextmanager
def host_directory() -> Iterator[Path]:
    """Be a directory that instances' users may pass through, which pytest's are not."""
    path = Path(tempfile.mkdtemp(prefix="catnap-agent-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        _end_gate_daemon(path)
        shutil.rmtree(path, ignore_errors=True)


def _end_gate_daemon(directory: Path) -> None:
    """Leave no daemon behind where a test failed, or the machine was too busy to end it in time."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and str(directory).encode() in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
    files = directory / "run" / "gate" / "files"
    subprocess.run(["umount", "-l", str(files)], check=False, capture_output=True)


def settings_in(directory: Path, **flags: str) -> HostSettings:
    """Return the settings of an agent that shares nothing with others."""
    return load_settings(
        None,
        {},
        {
            "data_dir": str(directory / "data"),
            "run_dir": str(directory / "run"),
            "process.group": directory.name.replace(".", "-").lower()[:40],
            "process.stop_grace": "2s",
            "wake.deadline": "10s",
            **flags,
        },
    )


@asynccontextmanager
async def running(
    settings: HostSettings, faults: Faults = no_faults, *, take_down: bool = True
) -> AsyncIterator[HostAgent]:
    """Run an agent in this process; unless told otherwise nothing is left of it."""
    agent = HostAgent(settings, faults=faults)
    await agent.start()
    try:
        yield agent
    finally:
        if take_down:
            agent._begin_down(remove=True)
        await agent.stop()


def echo(name: str = "echo", **policy: object) -> InstanceSpec:
    """Return a service that answers what it is sent."""
    sleeps = AutoStandbyPolicy(enabled=True, **policy) if policy else None  # type: ignore[arg-type]
    return InstanceSpec(name=name, command=(*COMMAND, name), auto_standby=sleeps)


def address_of(instance: Instance, version: int = 4) -> str:
    """Return the instance's address."""
    addresses = instance.record.addresses
    return str(addresses.ipv4 if version == 4 else addresses.ipv6)


def client(kind: str, host: str, port: int = PORT, within: float = 15.0) -> socket.socket:
    """Return a socket connected to a service; for UDP a first datagram is on its way."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.settimeout(within)
    try:
        sock.connect((host, port))
        sock.send(b"hello")
    except BaseException:
        sock.close()
        raise
    return sock


def answer(sock: socket.socket) -> bytes:
    """Return what the service says to the first datagram or bytes, and hang up; raises OSError."""
    with sock:
        return sock.recv(100)


async def served(kind: str, host: str, port: int = PORT, within: float = 15.0) -> bool:
    """Tell whether the service answers."""
    try:
        return await asyncio.to_thread(lambda: answer(client(kind, host, port, within))) == b"hello"
    except OSError:
        return False


async def eventually_served(kind: str, host: str, port: int = PORT, within: float = 20.0) -> bool:
    """Tell whether the service answers in time; it may be starting."""
    deadline = asyncio.get_running_loop().time() + within
    while not await served(kind, host, port):
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
