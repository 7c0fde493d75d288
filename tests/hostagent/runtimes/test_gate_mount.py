"""The gate file as an instance sees it, and after the daemon behind it was killed."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from hostagent.errors import HostError
from hostagent.gatefile.client import GateClient
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process.gate_mount import show_gate
from hostagent.runtimes.process.launch_order import GATE
from hostagent.runtimes.process.runtime import ProcessRuntime
from tests.hostagent.gatefile.daemons import daemon_pid
from tests.hostagent.runtimes.conftest import new_id, run_to_end
from tests.waiting import until

Planner = Callable[..., LaunchPlan]


@pytest.fixture
async def gates(runtime: ProcessRuntime, tmp_path: Path) -> GateClient:
    return GateClient(tmp_path / "gate", runtime.show_gate)


async def test_an_instance_holds_itself_awake(
    runtime: ProcessRuntime, plan: Planner, gates: GateClient
) -> None:
    await gates.start()
    try:
        instance = new_id()
        path = await gates.create(instance, reset=True)
        script = f"cd {GATE.parent}; ls; echo -n + > {GATE.name}; echo -n +2 >> {GATE.name}; cat {GATE.name}"
        status, output = await run_to_end(runtime, plan("sh", "-c", script, gate_file=path))
        assert (status, output) == (0, f"{GATE.name}\n=3")
        assert gates.count(instance) == 3
    finally:
        await gates.shut_down()


@pytest.mark.parametrize("asleep", [False, True])
async def test_its_gate_works_again_after_the_daemon_was_killed(
    runtime: ProcessRuntime, plan: Planner, gates: GateClient, asleep: bool
) -> None:
    await gates.start()
    try:
        instance = new_id()
        path = await gates.create(instance, reset=True)
        script = f"while :; do (echo -n =7 > {GATE}) 2>/dev/null; sleep 0.02; done"
        wanted = plan("sh", "-c", script, gate_file=path, instance=instance)
        await runtime.start(wanted)
        await until(lambda: gates.count(instance) == 7, within=10, what="it holds")
        if asleep:
            await runtime.freeze(instance)
        os.kill(daemon_pid(gates), signal.SIGKILL)
        await until(lambda: gates.count(instance) is None, within=5, what="the count is not known")
        await until(lambda: gates.count(instance) == 7, within=20, what="the count is known again")
        runtime.thaw(instance)
        await asyncio.to_thread(path.write_text, "=1")
        await until(lambda: gates.count(instance) == 7, within=5, what="it writes to the new file")
    finally:
        await runtime.destroy(instance)
        await gates.shut_down()


async def test_where_it_cannot_be_shown_the_reason_is_told(tmp_path: Path) -> None:
    file = tmp_path / "gate"
    file.touch()
    with pytest.raises(HostError, match=r"cannot be shown to process 999999999: .*No such file"):
        await show_gate(999_999_999, file)
