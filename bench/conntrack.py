"""What other people's connections cost the agent while its instances sleep. See the README beside this
file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import struct
import subprocess
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

from bench._agent import Agent, cpu_seconds, enter_own_network, until

RATE = 5000
"""Foreign connections a second."""
FOREIGN = 100_000
"""Foreign flows in the table while the agent is asked."""
_LINGER = struct.pack("ii", 1, 0)
_PORT = 7070


def foreign_connections(
    rate: int, seconds: float, ready: Event, go: Event, made: multiprocessing.Queue[int]
) -> None:
    """Open and close TCP connections of this host with itself, `rate` a second."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", _PORT))
        server.listen(128)
        ready.set()
        go.wait()
        began, count = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < seconds:
            if count >= now * rate:
                time.sleep(0.001)
                continue
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                client.connect((f"127.0.{count // 250 % 250 + 1}.{count % 250 + 1}", _PORT))
                server.accept()[0].close()
            count += 1
        made.put(count)


def foreign_flows(count: int) -> None:
    """Have that many UDP flows in the table, and have them stay."""
    Path("/proc/sys/net/netfilter/nf_conntrack_udp_timeout").write_text("600")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("0.0.0.0", 9))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(count):
                target = f"127.{1 + number // 62500}.{number // 250 % 250 + 1}.{number % 250 + 1}"
                sock.sendto(b"x", (target, 9))


def round_of(agent: Agent, rate: int, seconds: float) -> dict[str, float]:
    """Measure the agent and `conntrack -E` in the same seconds."""
    context = multiprocessing.get_context("spawn")
    ready, go, made = context.Event(), context.Event(), context.Queue()
    generator = context.Process(target=foreign_connections, args=(rate, seconds, ready, go, made))
    generator.start()
    watcher = subprocess.Popen(
        ["conntrack", "-E", "--buffer-size", str(64 << 20)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        ready.wait()
        time.sleep(0.5)
        agent_before, watcher_before = agent.cpu(), cpu_seconds(watcher.pid)
        go.set()
        count = made.get()
        time.sleep(0.2)
        agent_cpu, watcher_cpu = agent.cpu() - agent_before, cpu_seconds(watcher.pid) - watcher_before
    finally:
        watcher.terminate()
        watcher.wait()
        generator.join()
    return {
        "connections_per_second": round(count / seconds),
        "agent_cpu_ms": round(agent_cpu * 1e3, 2),
        "conntrack_e_cpu_ms": round(watcher_cpu * 1e3, 2),
        "ratio": round(agent_cpu / watcher_cpu, 4),
    }


def milliseconds(function: object, times: int = 5) -> float:
    """Return the median time of a call."""
    assert callable(function)
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1e3, 2)


def status_read(agent: Agent, foreign: int) -> dict[str, object]:
    """Ask for an instance's status while the table is full of others' flows."""
    from prometheus_client import CollectorRegistry

    from hostagent.activity.conntrack import ConntrackTable
    from hostagent.network.rules import MARK

    foreign_flows(foreign)
    table = ConntrackTable(MARK, CollectorRegistry())
    tracked = int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
    listing = ["conntrack", "-L"]
    return {
        "tracked_flows": tracked,
        "status_ms": milliseconds(lambda: agent.get("/instances/bench-0/auto-standby/status")),
        "table_read_ms": milliseconds(table.flows),
        "conntrack_l_ms": milliseconds(
            lambda: subprocess.run(listing, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ),
    }


def say(**fields: object) -> None:
    """Print one JSON line."""
    print(json.dumps(fields), flush=True)


def main() -> None:
    """Measure, and print the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=int, default=RATE)
    parser.add_argument("--instances", type=int, default=100)
    parser.add_argument("--foreign", type=int, default=FOREIGN)
    arguments = parser.parse_args()
    enter_own_network()
    with Agent() as agent:
        names = [f"bench-{number}" for number in range(arguments.instances)]
        for name in names:
            agent.create(name, ["sleep", "infinity"], idle_timeout="1s")
        until(lambda: all(agent.level(name) != "awake" for name in names), "all instances sleep")
        before = agent.cpu()
        time.sleep(arguments.seconds)
        quiet = agent.cpu() - before
        say(sleeping=len(names), level=agent.level(names[0]), quiet_cpu_ms=round(quiet * 1e3, 2))
        rounds = [round_of(agent, arguments.rate, arguments.seconds) for _ in range(arguments.rounds)]
        for one in rounds:
            say(**one)
        reached = statistics.median(one["connections_per_second"] for one in rounds)
        if reached < arguments.rate * 0.95:
            sys.exit(f"only {reached} connections a second were made: the machine is too busy to measure")
        say(**status_read(agent, arguments.foreign))
        ratio = statistics.median(one["ratio"] for one in rounds)
    print(f"conntrack ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
