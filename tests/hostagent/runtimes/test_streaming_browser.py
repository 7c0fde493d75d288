"""The command that matters: `catnap serve` with its browser, as an instance."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

import hostagent
from hostagent.gatefile.client import GateClient
from hostagent.instances.model import Addresses, InstanceSpec
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process.runtime import ProcessRuntime
from tests.hostagent.gatefile.daemons import daemon_pid
from tests.hostagent.runtimes.conftest import new_group, new_id
from tests.hostagent.swap import swap_file
from tests.waiting import until

pytestmark = pytest.mark.e2e

TREE = Path(hostagent.__file__).parents[1]
PORT = 8080


@dataclass(frozen=True)
class Running:
    runtime: ProcessRuntime
    gates: GateClient
    plan: LaunchPlan
    api: httpx.AsyncClient

    def processes(self) -> list[psutil.Process]:
        """Return all that runs as the instance's user."""
        found = []
        for process in psutil.process_iter(["uids"]):
            if process.info["uids"] and process.info["uids"].real == self.plan.addresses.uid:
                found.append(process)
        return found

    def command_lines(self) -> str:
        """Return what they were started as."""
        lines = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                lines += process.cmdline()
        return " ".join(lines)

    def cpu_seconds(self) -> float:
        """Return what all of them have used."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())

    async def is_healthy(self) -> bool:
        try:
            return (await self.api.get("/health")).status_code == 200
        except httpx.HTTPError:
            return False

    async def answers(self, within: float) -> None:
        async with asyncio.timeout(within):
            while not await self.is_healthy():
                await asyncio.sleep(0.05)


@pytest.fixture
async def running(addresses: Addresses, tmp_path: Path) -> AsyncIterator[Running]:
    runtime = await ProcessRuntime.open(new_group())
    gates = GateClient(tmp_path / "gate", runtime.show_gate)
    await gates.start()
    instance = new_id()
    spec = InstanceSpec(
        "browser",
        ("catnap", "serve", "--config", "config/neko.yaml"),
        environment=(
            ("NEKO_SERVER_BIND", f"0.0.0.0:{PORT}"),
            ("NEKO_BROWSER_URL", "about:blank"),
            ("NEKO_SCALETOZERO_COOLDOWN", "100ms"),
        ),
        working_directory=TREE,
    )
    gate = await gates.create(instance, reset=True)
    plan = LaunchPlan(instance, spec, addresses, tmp_path / "data", gate)
    try:
        await runtime.start(plan)
        async with httpx.AsyncClient(base_url=f"http://{addresses.ipv4}:{PORT}", timeout=10) as api:
            yield Running(runtime, gates, plan, api)
    except TimeoutError:
        print((plan.data_directory / "output.log").read_text()[-3000:])
        raise
    finally:
        await runtime.destroy(instance)
        runtime.close()
        await runtime.teardown()
        await gates.shut_down()


async def test_a_streaming_browser_runs_sleeps_and_wakes_as_an_instance(running: Running) -> None:
    await running.answers(within=60)
    instance, runtime, gates = running.plan.id, running.runtime, running.gates
    await until(lambda: "--type=renderer" in running.command_lines(), within=20, what="a page is shown")
    assert "--no-sandbox" not in running.command_lines()

    # somebody is connected: the gate is held; gone again: it is let go
    await until(lambda: gates.count(instance) == 0, within=10, what="nobody is connected")
    login = await running.api.post("/api/login", json={"username": "one", "password": "neko"})
    token = login.json()["token"]
    async with connect(f"ws://{running.plan.addresses.ipv4}:{PORT}/api/ws?token={token}") as socket:
        assert json.loads(await socket.recv())["event"] == "system/init"
        await until(lambda: gates.count(instance), within=10, what="the viewer holds the gate")

        # the daemon that serves the gate is killed meanwhile
        held = gates.count(instance)
        os.kill(daemon_pid(gates), signal.SIGKILL)
        await until(lambda: gates.count(instance) is None, within=5, what="the count is not known")
        await until(lambda: gates.count(instance) == held, within=20, what="the gate is in place again")
    await until(lambda: gates.count(instance) == 0, within=20, what="the gate is let go through the new file")

    # asleep: nothing of it runs
    await runtime.freeze(instance)
    before = running.cpu_seconds()
    assert not await asyncio.wait_for(_answers_within(running, 0.5), 5)
    assert running.cpu_seconds() == before
    with swap_file():
        assert await runtime.reclaim(instance) > 30 << 20
        runtime.thaw(instance)
        await running.answers(within=20)
        await runtime.freeze(instance)
        assert await runtime.stop(instance, 20) == 0
    assert running.processes() == []


async def _answers_within(running: Running, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await running.is_healthy()
    except TimeoutError:
        return False
