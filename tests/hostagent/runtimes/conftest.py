"""Instances to start, in a network and cgroup of their own; everything is gone afterwards."""

import asyncio
import os
import secrets
import string
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from hostagent.instances.model import Addresses, InstanceId, InstanceSpec
from hostagent.runtimes.contract import LaunchPlan
from hostagent.runtimes.process.runtime import ProcessRuntime
from tests.network import Namespace

Planner = Callable[..., LaunchPlan]


def new_id() -> InstanceId:
    """Return an id nobody else has."""
    return InstanceId(
        "t" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(23))
    )


def new_group() -> str:
    """Return the name of a cgroup nobody else has."""
    return f"catnap-test-{os.getpid()}-{secrets.token_hex(3)}"


@pytest.fixture(scope="module")
def network() -> Iterator[Namespace]:
    if os.geteuid() != 0:
        pytest.skip("namespaces and cgroups need root")
    with Namespace() as namespace:
        yield namespace


@pytest.fixture(scope="module")
def addresses(network: Namespace) -> Addresses:
    uid = 300_000 + os.getpid() % 100_000
    return Addresses(
        IPv4Address(network.address),
        IPv6Address("fd7a:ca7:a9::7"),
        "02:00:00:00:00:07",
        "unused",
        network.name,
        uid,
    )


@pytest.fixture
async def runtime() -> AsyncIterator[ProcessRuntime]:
    opened = await ProcessRuntime.open(new_group())
    yield opened
    for instance in tuple(opened.known()):
        await opened.destroy(instance)
    opened.close()
    await opened.teardown()


@pytest.fixture
def plan(addresses: Addresses, tmp_path: Path) -> Planner:
    """Return a maker of plans: `plan("sh", "-c", "…")`."""

    def make(
        *command: str, gate_file: Path | None = None, instance: InstanceId | None = None, **fields: object
    ) -> LaunchPlan:
        spec = InstanceSpec("tested", command, **fields)  # type: ignore[arg-type]
        instance = instance or new_id()
        return LaunchPlan(instance, spec, addresses, tmp_path / instance, gate_file)

    return make


async def run_to_end(runtime: ProcessRuntime, plan: LaunchPlan, within: float = 20) -> tuple[int | None, str]:
    """Start it; return its exit status and what it printed."""
    ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    runtime.on_exit(plan.id, ended.set_result)
    await runtime.start(plan)
    async with asyncio.timeout(within):
        status = await ended
    return status, (plan.data_directory / "output.log").read_text()
