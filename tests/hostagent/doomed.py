"""Agents that are killed (kill -9) at a step of a transition: each is a fork of this process.

Reads a JSON object per line: directory, point, action. Answers one: by which signal the agent ended, and what
the instance was before the action.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from hostagent.activity.evidence import Evidence
from hostagent.app import HostAgent
from hostagent.instances.faults import FaultPoint
from hostagent.instances.model import InstanceId, Level
from hostagent.instances.registry import Instance
from tests.hostagent.agents import echo, settings_in

NAME = "doomed"


def nobody(instance: InstanceId) -> Evidence | None:
    """See nobody."""
    return None


async def doom(directory: Path, point: FaultPoint, action: str, report: int) -> None:
    """Prepare an instance, then do the action and die at the point."""
    armed = False

    async def fault(here: FaultPoint, instance: InstanceId) -> None:
        if armed and here is point:
            os.kill(os.getpid(), signal.SIGKILL)

    agent = HostAgent(settings_in(directory), faults=fault)
    await agent.start()
    verb, _, level = action.partition(":")
    instance = await _prepared(agent, verb, Level(level) if level else None)
    if instance is not None:
        addresses = instance.record.addresses
        before = [instance.id, str(addresses.ipv4), str(addresses.ipv6)]
        os.write(report, json.dumps(before).encode())
    armed = True
    await _act(agent, instance, verb, Level(level) if level else None)
    await asyncio.sleep(2)  # what goes on in the background


async def _prepared(agent: HostAgent, verb: str, level: Level | None) -> Instance | None:
    lifecycle = agent.lifecycle
    found = next(iter(lifecycle.registry), None)
    if verb == "create":
        if found is not None:
            await lifecycle.delete(found)
        return None
    if found is None:
        found = await lifecycle.create(echo(NAME, idle_timeout=3600.0, level=Level.FROZEN))
    elif found.record.wanted == "stopped":
        await lifecycle.start_instance(found)
    await lifecycle.wake(found, "test")
    while found.waking is not None:
        await asyncio.sleep(0.01)
    if verb == "start":
        await lifecycle.stop_instance(found)
    if verb == "wake":
        assert level is not None
        await lifecycle.sleep(found, level, reason="test", still_idle=nobody)
    return found


async def _act(agent: HostAgent, instance: Instance | None, verb: str, level: Level | None) -> None:
    lifecycle = agent.lifecycle
    if instance is None:
        await lifecycle.create(echo(NAME, idle_timeout=3600.0, level=Level.FROZEN))
    elif verb == "sleep":
        await lifecycle.sleep(instance, level, reason="test", still_idle=nobody)
    elif verb == "wake":
        await lifecycle.wake(instance, "test")
    elif verb == "start":
        await lifecycle.start_instance(instance)
    elif verb == "stop":
        await lifecycle.stop_instance(instance)
    elif verb == "delete":
        await lifecycle.delete(instance)


def main() -> None:
    """Serve one line after the other."""
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            os.dup2(2, 1)
            try:
                asyncio.run(
                    doom(Path(order["directory"]), FaultPoint(order["point"]), order["action"], writing)
                )
            finally:
                os._exit(3)
        os.close(writing)
        with os.fdopen(reading, "rb") as report:
            before = report.read()
        _, status = os.waitpid(child, 0)
        ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        print(json.dumps({"signal": ended, "before": json.loads(before or b"null")}), flush=True)


if __name__ == "__main__":
    main()
