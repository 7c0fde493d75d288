"""The agent dies, instances do not, and the next agent finds them."""

import asyncio
import json
import os
import pickle
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from hostagent.instances.model import ProcessStamp
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process.cgroup import Cgroup
from hostagent.runtimes.process.runtime import ProcessRuntime
from hostagent.runtimes.process.stamp import stamp_of
from tests.hostagent.runtimes.conftest import new_group
from tests.waiting import until

Planner = Callable[..., LaunchPlan]

AGENT = """
import asyncio, dataclasses, json, pickle, sys
from hostagent.runtimes.process.cgroup import Cgroup
from hostagent.runtimes.process.runtime import ProcessRuntime

async def main():
    runtime = await ProcessRuntime.open(sys.argv[1])
    plan = pickle.loads(bytes.fromhex(sys.argv[2]))
    print(json.dumps(dataclasses.asdict(await runtime.start(plan))), flush=True)
    if sys.argv[3] == "frozen":
        await runtime.freeze(plan.id)
        print("frozen", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def killed_agent(group: str, plan: LaunchPlan, state: str = "awake") -> ProcessStamp:
    """Start the instance from another process, which is killed then."""
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, group, pickle.dumps(plan).hex(), state,
        stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert agent.stdout
    try:
        stamp = ProcessStamp(**json.loads(await agent.stdout.readline()))
        if state == "frozen":
            assert await agent.stdout.readline() == b"frozen\n"
    finally:
        agent.kill()
        await asyncio.gather(agent.wait(), agent.stdout.read())
    return stamp


@pytest.fixture
async def following() -> AsyncIterator[ProcessRuntime]:
    """The agent that comes after."""
    opened = await ProcessRuntime.open(new_group())
    yield opened
    for instance in opened.known():
        await opened.destroy(instance)
    opened.close()
    await opened.teardown()


def count(plan: LaunchPlan) -> int:
    return (plan.data_directory / "output.log").read_text().count("\n")


COUNTING = ("sh", "-c", "trap 'exit 5' TERM; while :; do echo .; sleep 0.01; done")


@pytest.mark.parametrize("stamped", [True, False], ids=["journalled", "not yet journalled"])
async def test_it_outlives_the_agent_and_is_found(
    following: ProcessRuntime, plan: Planner, stamped: bool
) -> None:
    wanted = plan(*COUNTING)
    stamp = await killed_agent(following.group, wanted)
    before = count(wanted)
    await until(lambda: count(wanted) > before, within=10, what="it goes on without an agent")
    found = await following.inspect(wanted.id, stamp if stamped else None)
    assert found.process == stamp
    assert not found.frozen
    await following.freeze(wanted.id)
    following.thaw(wanted.id)
    told: list[int | None] = []
    following.on_exit(wanted.id, told.append)
    status = await following.stop(wanted.id, 10)
    assert status in (5, None)  # Linux before 6.15 tells it to the parent only
    assert told == [status]


async def test_one_that_sleeps_is_found_asleep_and_can_be_woken(
    following: ProcessRuntime, plan: Planner
) -> None:
    wanted = plan(*COUNTING)
    stamp = await killed_agent(following.group, wanted, "frozen")
    found = await following.inspect(wanted.id, stamp)
    assert found.process == stamp
    assert found.frozen
    before = count(wanted)
    following.thaw(wanted.id)
    await until(lambda: count(wanted) > before, within=5, what="it goes on")


async def test_it_can_be_woken_before_it_was_looked_at(following: ProcessRuntime, plan: Planner) -> None:
    wanted = plan(*COUNTING)
    await killed_agent(following.group, wanted, "frozen")
    before = count(wanted)
    following.thaw(wanted.id)
    await until(lambda: count(wanted) > before, within=5, what="it goes on")


async def test_another_process_of_the_same_number_is_not_it(following: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sleep", "60")
    stamp = await following.start(wanted)
    await following.stop(wanted.id, 0)
    ours = os.getpid()
    for stale in (
        stamp,
        replace(stamp, pid=ours),
        stamp_of(ours),
    ):
        assert (await following.inspect(wanted.id, stale)).process is None
    await following.destroy(wanted.id)  # of which we live to tell


async def test_a_stamp_of_another_boot_is_not_believed(following: ProcessRuntime, plan: Planner) -> None:
    wanted = plan("sleep", "60")
    stamp = await following.start(wanted)
    found = await following.inspect(wanted.id, replace(stamp, boot_id="another"))
    assert found.process == stamp  # found by its cgroup, with the stamp it has now


async def test_one_whose_freeze_was_not_finished_counts_as_frozen(
    following: ProcessRuntime, plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the agent died after it had asked for it; the kernel finishes as soon as it can
    wanted = plan(*COUNTING)
    await following.start(wanted)
    await following.freeze(wanted.id)
    monkeypatch.setattr(Cgroup, "is_frozen", lambda self: False)
    assert (await following.inspect(wanted.id, None)).frozen
    following.thaw(wanted.id)
    assert not (await following.inspect(wanted.id, None)).frozen
