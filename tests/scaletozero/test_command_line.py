"""`catnap scaletozero` against a server, through its unix socket, without a password."""

import asyncio
import json
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plugins.scaletozero.control_client import SOCKET_NAME, short_address
from plugins.scaletozero.control_socket import ControlSocket, SocketInUseError
from plugins.scaletozero.gate_controller import GateController
from plugins.scaletozero.gate_state import GateState
from plugins.scaletozero.marker import NoMarker
from plugins.scaletozero.operations import Operations
from tests.scaletozero.flaky_file import FlakyFile
from tests.scaletozero.gated_server import Gated, gated

PROGRAM = "from streamserver.cli import main; main()"
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gated]:
    async with gated(tmp_path) as gate:
        yield gate


async def catnap(run_dir: Path, *arguments: str, user: str | None = None) -> tuple[int, str, str]:
    """Run the command; returns exit status, output and errors."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("NEKO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        "scaletozero",
        *arguments,
        f"--server.run_dir={run_dir}",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=run_dir.parent,
        env=ours | {"PYTHONPATH": str(ROOT)},
        user=user,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_status_pin_and_unpin(gate: Gated) -> None:
    status, out, err = await catnap(gate.run_dir, "status")
    assert (status, err) == (0, "")
    assert out.startswith("May sleep: nothing of ours holds the machine awake.\n")
    assert str(gate.pipe.path) in out

    for _ in range(2):
        assert await catnap(gate.run_dir, "disable") == (0, "Awake: it is pinned.\n", "")
    assert gate.writes == "+"
    _, out, _ = await catnap(gate.run_dir, "status", "--json")
    evidence = json.loads(out)
    over_http = await gate.evidence()
    assert evidence.keys() == over_http.keys()
    assert evidence["pinned"] is True
    assert evidence["holds"][0]["label"] == "the command line"
    _, out, _ = await catnap(gate.run_dir, "status")
    assert "pin      the command line, for " in out

    for _ in range(2):
        status, out, err = await catnap(gate.run_dir, "enable")
        assert (status, err) == (0, "")
    assert gate.writes == "+-"


async def test_what_others_wrote_does_not_reach_the_terminal_raw(gate: Gated) -> None:
    async with gate.client() as client:
        reason = "\x1b[2Jgone\nforged line"
        await client.put("/scaletozero/leases/x", json={"ttl_seconds": 60, "reason": reason})
    _, out, _ = await catnap(gate.run_dir, "status")
    assert "\x1b" not in out
    assert "\nforged" not in out
    assert r"\x1b[2Jgone\nforged line" in out


async def test_a_file_that_fails_is_said_and_is_an_error(gate: Gated) -> None:
    gate.break_file()
    status, out, err = await catnap(gate.run_dir, "disable")
    assert (status, out) == (1, "")
    assert err.startswith("failed to disable scale-to-zero: cannot open ")
    gate.mend_file()


async def test_no_server(tmp_path: Path) -> None:
    status, out, err = await catnap(tmp_path / "nothing", "status", "--scaletozero.enabled=true")
    assert (status, out) == (1, "")
    assert err.startswith(f"no server runs here with the gate: there is no {tmp_path}/nothing/{SOCKET_NAME};")
    _, _, err = await catnap(tmp_path / "nothing", "status", "--scaletozero.enabled=false")
    assert "in this configuration scaletozero.enabled is false" in err


async def test_a_server_that_was_killed(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    with short_address(tmp_path / SOCKET_NAME) as address:
        dead.bind(address)
    dead.close()
    status, _, err = await catnap(tmp_path, "status")
    assert (status, err.split(":")[0]) == (1, "no server runs here")


async def test_a_file_left_behind_is_replaced(gate: Gated) -> None:
    await gate.plugin.shutdown()
    dead = socket.socket(socket.AF_UNIX)
    with short_address(gate.run_dir / SOCKET_NAME) as address:
        dead.bind(address)
    dead.close()
    again = ControlSocket(gate.run_dir, operations(gate))
    await again.open()
    assert (await catnap(gate.run_dir, "status"))[0] == 0
    await again.close()


async def test_a_server_that_answers_is_not_pushed_aside(gate: Gated) -> None:
    with pytest.raises(SocketInUseError, match="run_dir of its own"):
        await ControlSocket(gate.run_dir, operations(gate)).open()
    assert (await catnap(gate.run_dir, "status"))[0] == 0


async def test_a_directory_with_a_long_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    async with gated(deep) as gate:
        assert (await catnap(gate.run_dir, "disable"))[0] == 0
        assert gate.writes == "+"


@pytest.mark.parametrize(
    "request_line",
    [b"\n", b"{}\n", b"[]\n", b'"status"\n', b'{"do": "explode"}\n', b'{"do": ["status"]}\n', b"\xff\n"],
)
async def test_junk_gets_an_error(gate: Gated, request_line: bytes) -> None:
    with short_address(gate.run_dir / SOCKET_NAME) as address:
        reader, writer = await asyncio.open_unix_connection(address)
    writer.write(request_line)
    assert "error" in json.loads(await reader.readline())
    writer.close()
    assert gate.writes == ""


async def test_a_line_without_end_and_a_client_that_says_nothing_hold_up_nobody(gate: Gated) -> None:
    with short_address(gate.run_dir / SOCKET_NAME) as address:
        silent = await asyncio.open_unix_connection(address)
        reader, writer = await asyncio.open_unix_connection(address)
    writer.write(b"x" * 100_000)
    assert await reader.read() == b""
    writer.close()
    assert (await catnap(gate.run_dir, "status"))[0] == 0
    await gate.plugin.shutdown()
    assert await silent[0].read() == b""
    silent[1].close()


def operations(gate: Gated) -> Operations:
    """Return the gate's operations under a socket of our own."""
    state = GateState(cooldown=0)
    controller = GateController(state, FlakyFile(), NoMarker(), write_timeout=1, drain_timeout=1)
    return Operations(controller, gate.pipe.path)


async def test_the_file_is_for_its_owner_alone_and_goes_with_the_server(gate: Gated) -> None:
    path = gate.run_dir / SOCKET_NAME
    mode = path.stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
    await gate.plugin.shutdown()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
async def test_another_user_may_not(gate: Gated) -> None:
    """Say so, rather than that no server runs. The shared browser's user is such a one."""
    for directory in (gate.run_dir, *gate.run_dir.parents[:3]):
        directory.chmod(directory.stat().st_mode | 0o055)
    account = pwd.getpwnam("nobody")
    code = (
        "import sys; from pathlib import Path; from plugins.scaletozero.control_client import *\n"
        "try: ask(Path(sys.argv[1]), 'disable')\nexcept NoAnswerError as error: print(error)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(gate.run_dir), stdout=subprocess.PIPE, cwd=ROOT, user=account.pw_uid
    )
    out, _ = await process.communicate()
    assert "may not be opened; run this as the user the server runs as" in out.decode()
    assert gate.writes == ""
