"""`catnap host run` says whether the service is up, or how its command ended."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from hostagent.app import HostAgent
from hostagent.commands.beginning import hidden_files
from hostagent.instances.listening import listening_ports
from hostagent.instances.model import Level
from tests.hostagent.agents import host_directory, running, settings_in
from tests.hostagent.own_host import require_own_network
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

TREE = Path(__file__).parents[3]
LATE = """
import socket, sys, time
time.sleep(float(sys.argv[1]))
server = socket.create_server((sys.argv[2], 7070))
time.sleep(1000)
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent() -> AsyncIterator[HostAgent]:
    require_own_network()
    with host_directory() as directory:
        async with running(settings_in(directory)) as started:
            yield started


async def _run(agent: HostAgent, *words: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hostagent", "--run-dir", str(agent.settings.run_dir), "run", *words),
        cwd=TREE,
        env={**os.environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, output.decode()


def _service(seconds: float, address: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-c", LATE, str(seconds), address)


async def test_it_returns_when_the_service_listens_which_sleep_does_not_hinder(agent: HostAgent) -> None:
    status, output = await _run(
        agent,
        "-d",
        "-n",
        "late",
        "-p",
        "17070:7070",
        "--idle-timeout",
        "200ms",
        "--",
        *_service(1.5, "0.0.0.0"),
    )
    assert (status, "Warning" in output) == (0, False), output
    assert "late runs at http://localhost:17070" in output
    instance = agent.lifecycle.registry.find("late")
    await until(lambda: instance.level is not Level.AWAKE, within=10, what="it sleeps, now that it is up")


async def test_a_service_that_nobody_reaches_is_told_of(agent: HostAgent) -> None:
    status, output = await _run(
        agent, "-d", "-n", "alone", "-p", "17071:7070", "--", *_service(0, "127.0.0.1")
    )
    assert (status, "7070/tcp listens on its own 127.0.0.1 alone" in output) == (0, True), output


@pytest.mark.parametrize("detach", [True, False])
async def test_a_command_that_ends_at_once_is_told_with_its_last_words(
    agent: HostAgent, detach: bool
) -> None:
    words = ("-d",) if detach else ()
    name = f"ends-{detach}".lower()
    status, output = await _run(
        agent, *words, "-n", name, "-p", "17072:1", "--", "/bin/sh", "-c", "echo no such file >&2; exit 3"
    )
    assert status == 1
    assert f"{name}'s command ended by itself with status 3" in output
    assert "  no such file" in output
    assert "runs at" not in output
    await agent.lifecycle.delete(agent.lifecycle.registry.find(name))


async def test_a_command_that_ends_later_ends_the_telling(agent: HostAgent) -> None:
    status, output = await _run(agent, "-n", "later", "--", "/bin/sh", "-c", "sleep 1.5; echo bye; exit 4")
    assert status == 1
    assert "later runs at" in output
    assert output.count("ended by itself with status 4") == 1
    assert "  bye" in output


async def test_what_does_not_listen_is_said_after_a_while(agent: HostAgent) -> None:
    transport = httpx.AsyncHTTPTransport(uds=str(agent.settings.socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=20) as client:
        body = {"name": "mute", "command": ["sleep", "100"], "ports": [{"host_port": 17073, "guest_port": 5}]}
        assert (await client.post("/instances", json=body)).status_code == 201
        answer = await client.get("/instances/mute/listening", params={"within": 0.3})
        (port,) = answer.json()["ports"]
        assert (answer.json()["state"], port["listening"], port["reachable"]) == ("Running", False, False)
        assert (await client.get("/instances/mute/why")).json()["leases"] == []
        refused = await client.get("/instances/mute/listening", params={"within": 3600})
        assert refused.status_code == 400


async def test_files_of_the_hosts_tmp_are_told_of(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = Path("/tmp") / f"catnap-hidden-{os.getpid()}.yaml"
    file.touch()
    try:
        words = ["serve", "--config", str(file), f"--log={file}", "", "/tmp/no-such-file", "/etc/passwd"]
        assert hidden_files(words, TREE) == [str(file), str(file)]
        assert hidden_files([file.name], Path("/tmp")) == [file.name]
        assert hidden_files(["here.yaml"], Path("/tmp/some/where")) == []
    finally:
        file.unlink()


async def test_loopback_is_known_as_the_kernel_writes_it() -> None:
    table = "  sl  local_address rem_address   st\n" + "\n".join(
        f"   {n}: {address} 00000000:0000 {state}"
        for n, (address, state) in enumerate(
            [
                ("0100007F:1F90", "0A"),
                ("00000000:1F91", "0A"),
                ("00000000000000000000000001000000:1F92", "0A"),
                ("0000000000000000FFFF00000100007F:1F93", "0A"),
                ("00000000000000000000000000000000:1F94", "0A"),
                ("0100007F:1F91", "0A"),
                ("00000000:1F95", "01"),
            ]
        )
    )
    assert listening_ports(table, tcp=True) == {8080: False, 8081: True, 8082: False, 8083: False, 8084: True}
