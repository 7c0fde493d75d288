"""How much later the first byte comes when the instance sleeps. See the README beside this file."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest
from pydantic import JsonValue

from bench._agent import Agent, enter_own_network, until
from bench._wake_server import PORT
from hostagent.netlink import conntrack
from hostagent.netlink.socket import NetfilterSocket
from hostagent.network.rules import MARK
from hostagent.runtimes.process.cgroup import Cgroup
from hostagent.runtimes.process.hierarchies import find_hierarchies
from tests.hostagent.own_host import Outside, made
from tests.hostagent.swap import swap_file

LEVELS = ("frozen", "reclaimed")
KINDS: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
MEGABYTES = 64
"""Memory of the service besides its own."""
PAUSE = 0.1
"""Seconds of quiet before each measured call, awake and asleep alike: nobody's caches are warm."""
PATIENCE = 10.0
"""Seconds a reply may take."""


class Service:
    """The instance, its client on another host, and its cgroup."""

    def __init__(self, agent: Agent, outside: Outside, instance: dict[str, JsonValue]) -> None:
        self._agent = agent
        self._outside = outside
        self._host = str(_addresses(instance)["ip"])
        self._cgroup = Cgroup(find_hierarchies(), f"{agent.group}/{instance['id']}")
        self._name = str(instance["name"])
        self._cgroup.open()

    def ask(self, kind: str) -> float:
        """Return the seconds from the first packet of a caller nobody has seen yet to the first byte back."""
        with self._outside.run(lambda: made(kind, self._host)) as sock:
            sock.settimeout(PATIENCE)
            began = time.perf_counter()
            sock.connect((self._host, PORT))
            sock.send(b"are you there?")
            sock.recv(64)
            return time.perf_counter() - began

    def answers(self) -> bool:
        """Tell whether it has started."""
        try:
            return self.ask("tcp") > 0
        except OSError:
            return False

    def asleep(self, kind: str, level: str) -> float:
        """Do the same while it sleeps."""
        forget_datagrams()
        self._agent.standby(self._name, level)
        time.sleep(PAUSE)
        taken = self.ask(kind)
        until(lambda: self._agent.level(self._name) == "awake", "it is awake by the agent's books")
        return taken

    def thawed(self, kind: str, level: str) -> float:
        """Return what the kernel alone needs from the write that thaws to the first byte.

        A new caller's request waits in the service's socket already; the agent does not know of this sleep.
        """
        asyncio.run(self._cgroup.freeze())
        if level == "reclaimed":
            self._cgroup.reclaim()
        with self._caller(kind) as sock:
            sock.send(b"are you there?")
            time.sleep(PAUSE)
            began = time.perf_counter()
            self._cgroup.thaw()
            sock.recv(64)
            return time.perf_counter() - began

    def _caller(self, kind: str) -> socket.socket:
        sock = self._outside.run(lambda: made(kind, self._host))
        sock.settimeout(PATIENCE)
        sock.connect((self._host, PORT))
        return sock


def forget_datagrams() -> None:
    """Have their flows be over: the kernel remembers a datagram for 30 s, and so long it would count as
    use.
    """
    sock = NetfilterSocket(1 << 20)
    for entry in list(conntrack.marked(sock, MARK)):
        if entry.protocol == socket.IPPROTO_UDP:
            conntrack.forget(sock, entry)
    sock.close()


def _addresses(instance: dict[str, JsonValue]) -> dict[str, JsonValue]:
    network = instance["network"]
    assert isinstance(network, dict)
    return network


def say(**fields: object) -> None:
    """Print one JSON line."""
    print(json.dumps(fields), flush=True)


def measure(service: Service, level: str, rounds: int) -> float:
    """Measure one level, print it, and return the worse ratio."""
    awake: dict[str, list[float]] = {kind: [] for kind in KINDS}
    asleep: dict[str, list[float]] = {kind: [] for kind in KINDS}
    thawed: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            # the first calls after a sleep read back what the one before did not need
            for _ in range(3):
                service.ask(kind)
            time.sleep(PAUSE)
            awake[kind].append(service.ask(kind))
            asleep[kind].append(service.asleep(kind, level))
            thawed[kind].append(service.thawed(kind, level))
    ratios = {}
    for kind in KINDS:
        # serving the call is in both, and is taken off once
        raw_thaw = max(0.0, statistics.median(thawed[kind]) - statistics.median(awake[kind]))
        ratios[kind] = statistics.median(asleep[kind]) / (statistics.median(awake[kind]) + raw_thaw)
        say(
            level=level,
            protocol=kind,
            awake_ms=_milliseconds(awake[kind]),
            raw_thaw_ms=round(raw_thaw * 1e3, 3),
            asleep_ms=_milliseconds(asleep[kind]),
            asleep_worst_ms=round(max(asleep[kind]) * 1e3, 3),
            ratio=round(ratios[kind], 3),
        )
    return max(ratios.values())


def _milliseconds(values: list[float]) -> float:
    return round(statistics.median(values) * 1e3, 3)


def swap(stack: ExitStack) -> None:
    """Have swap for `reclaimed` in a file of our own; what is there may go while we run."""
    try:
        stack.enter_context(swap_file())
    except pytest.skip.Exception as refusal:
        say(swap=str(refusal))


def main() -> None:
    """Measure, and print the worst ratio last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--megabytes", type=int, default=MEGABYTES)
    arguments = parser.parse_args()
    enter_own_network()
    with ExitStack() as stack:
        swap(stack)
        agent = stack.enter_context(Agent())
        outside = stack.enter_context(Outside())
        source = Path(__file__).with_name("_wake_server.py").read_text()
        python = str(Path(sys.executable).resolve())
        instance = agent.create("bench", [python, "-c", source, str(arguments.megabytes)])
        service = Service(agent, outside, instance)
        until(service.answers, "the service answers")
        ratios = {}
        for level in LEVELS:
            answer = agent.refusal(level)
            if answer is not None:
                say(level=level, missing=answer)
                continue
            ratios[level] = measure(service, level, arguments.rounds)
    if "frozen" not in ratios:
        sys.exit("no level to wake from could be measured")
    print(f"wake ratio {max(ratios.values()):.3f}")


if __name__ == "__main__":
    main()
