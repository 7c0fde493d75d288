"""What sleeping instances cost the agent while nothing happens. See the README beside this file."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil

from bench._agent import Agent, enter_own_network, until

FEW, MANY = 10, 1000
SETTLE = 5.0
"""Seconds between the last instance that falls asleep and the first measurement."""


def start(name: str) -> Agent:
    """Start an agent in a network of its own, which this thread moves to."""
    enter_own_network()
    return Agent(name).__enter__()


def fill(agent: Agent, count: int) -> float:
    """Make instances, wait until all sleep, and return how many seconds it took."""
    began = time.monotonic()
    for number in range(count):
        agent.create(f"bench-{number}", ["sleep", "infinity"], idle_timeout="1s")
    until(lambda: agent.asleep() == count, f"{count} instances sleep")
    return time.monotonic() - began


def measure(agents: dict[int, Agent], seconds: float) -> dict[int, float]:
    """Return the CPU milliseconds a second of each agent, over the same seconds."""
    before = {count: agent.cpu() for count, agent in agents.items()}
    began = time.monotonic()
    time.sleep(seconds)
    return {
        count: (agent.cpu() - before[count]) / (time.monotonic() - began) * 1e3
        for count, agent in agents.items()
    }


def say(**fields: object) -> None:
    """Print one JSON line."""
    print(json.dumps(fields), flush=True)


def main() -> None:
    """Measure, and print the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--few", type=int, default=FEW)
    parser.add_argument("--many", type=int, default=MANY)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        agents = {}
        for count in (arguments.few, arguments.many):
            with ThreadPoolExecutor(1) as thread:  # its network is the agent's
                agent = thread.submit(start, str(count)).result()
            stack.push(agent.__exit__)
            agents[count] = agent
            say(instances=count, seconds_to_make_and_sleep=round(fill(agent, count), 1))
        time.sleep(SETTLE)
        rounds = [measure(agents, arguments.seconds) for _ in range(arguments.rounds)]
        cost = {count: statistics.median(one[count] for one in rounds) for count in agents}
        for count, agent in agents.items():
            say(
                sleeping_instances=count,
                agent_cpu_ms_per_second=round(cost[count], 3),
                agent_rss_mb=round(psutil.Process(agent.pid).memory_info().rss / 1e6, 1),
            )
    print(f"idle ratio {cost[arguments.many] / cost[arguments.few]:.3f}")


if __name__ == "__main__":
    main()
