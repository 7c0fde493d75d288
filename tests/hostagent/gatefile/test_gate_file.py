"""Gate files as the kernel serves them, and what the agent knows of them."""

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hostagent.gatefile.client import GateClient
from hostagent.instances.model import InstanceId
from hostagent.runtimes.process.stamp import stamp_of
from tests.hostagent.gatefile.daemons import daemon_pid
from tests.waiting import until

ONE, OTHER = InstanceId("one"), InstanceId("other")
WRITERS = 8
WRITES = 150


def write(path: Path, text: bytes, flags: int = 0) -> None:
    """Write as programs do that know the platform's file: open, one write, close."""
    descriptor = os.open(path, os.O_WRONLY | flags)
    try:
        assert os.write(descriptor, text) == len(text)
    finally:
        os.close(descriptor)


async def test_a_file_counts_what_is_written_and_reads_as_it_is(gates: GateClient) -> None:
    path = await gates.create(ONE, reset=True)
    assert path.read_bytes() == b"=0"
    for text, count in ((b"+", 1), (b"+5", 6), (b"-", 5), (b"=40", 40), (b"-40", 0)):
        write(path, text)
        assert gates.count(ONE) == count  # without a turn of the loop: what has returned is known
        assert path.read_bytes() == b"=%d" % count


@pytest.mark.parametrize("flags", [os.O_TRUNC, os.O_APPEND, os.O_TRUNC | os.O_CREAT, os.O_SYNC])
async def test_how_it_is_opened_does_not_matter(gates: GateClient, flags: int) -> None:
    path = await gates.create(ONE, reset=True)
    write(path, b"+2")
    write(path, b"+", flags)
    assert gates.count(ONE) == 3


async def test_each_write_is_a_command_whatever_the_offset(gates: GateClient) -> None:
    path = await gates.create(ONE, reset=True)
    descriptor = os.open(path, os.O_RDWR)
    try:
        for _ in range(3):
            os.write(descriptor, b"+")
        os.pwrite(descriptor, b"+", 4000)
        os.truncate(path, 0)
        assert os.pread(descriptor, 10, 0) == b"=4"
    finally:
        os.close(descriptor)
    assert gates.count(ONE) == 4


@pytest.mark.parametrize(
    ("text", "number"),
    [(b"-", errno.ERANGE), (b"+18446744073709551617", errno.ERANGE), (b"stay", errno.EINVAL)],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    gates: GateClient, text: bytes, number: int
) -> None:
    path = await gates.create(ONE, reset=True)
    with pytest.raises(OSError) as refused:
        write(path, text)
    assert refused.value.errno == number
    assert gates.count(ONE) == 0


async def test_a_shell_can_hold_and_let_go(gates: GateClient) -> None:
    path = await gates.create(ONE, reset=True)
    subprocess.run(["sh", "-c", f"test -e {path} && echo -n + > {path} && echo -n + >> {path}"], check=True)
    assert gates.count(ONE) == 2


async def test_many_writers_at_once_are_counted_exactly(gates: GateClient) -> None:
    path = await gates.create(ONE, reset=True)
    await gates.create(OTHER, reset=True)
    program = (
        "import os, sys\n"
        "for number in range(int(sys.argv[2])):\n"
        "    descriptor = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)\n"
        "    os.write(descriptor, (b'+', b'+3', b'-')[number % 3])\n"
        "    os.close(descriptor)\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-S", "-c", program, str(path), str(WRITES)])
        for _ in range(WRITERS)
    ]
    assert await asyncio.to_thread(lambda: [writer.wait(60) for writer in writers]) == [0] * WRITERS
    assert gates.count(ONE) == WRITERS * WRITES // 3 * (1 + 3 - 1)
    assert gates.count(OTHER) == 0


async def test_changes_are_told_in_order_and_each_once(gates: GateClient) -> None:
    told: list[tuple[InstanceId, int | None]] = []
    gates.on_change(lambda instance, count: told.append((instance, count)))
    path = await gates.create(ONE, reset=True)
    for text in (b"+", b"+", b"-"):
        write(path, text)
    await gates.remove(ONE)
    await until(lambda: told and told[-1] == (ONE, None), within=5, what="the last change is told")
    assert told == [(ONE, 0), (ONE, 1), (ONE, 2), (ONE, 1), (ONE, None)]


async def test_an_instance_without_a_file_is_not_known(gates: GateClient) -> None:
    assert gates.count(OTHER) is None
    path = await gates.create(OTHER, reset=True)
    await gates.remove(OTHER)
    await gates.remove(OTHER)
    assert gates.count(OTHER) is None
    assert not path.exists()


async def test_a_restart_of_the_instance_begins_at_nothing_and_one_of_the_agent_does_not(
    gates: GateClient,
) -> None:
    path = await gates.create(ONE, reset=True)
    write(path, b"+3")
    await gates.create(ONE, reset=False)
    assert gates.count(ONE) == 3
    await gates.create(ONE, reset=True)
    assert gates.count(ONE) == 0


async def test_the_file_works_while_no_agent_runs_and_the_next_one_knows_the_count(
    gates: GateClient, tmp_path: Path
) -> None:
    path = await gates.create(ONE, reset=True)
    before = daemon_pid(gates)
    await gates.close()
    write(path, b"+2")
    following = GateClient(tmp_path / "gate")
    await following.start()
    try:
        assert following.count(ONE) == 2
        assert daemon_pid(gates) == before
    finally:
        await following.close()


async def test_a_killed_daemon_comes_back_with_the_counts(gates: GateClient) -> None:
    path = await gates.create(ONE, reset=True)
    await gates.create(OTHER, reset=True)
    write(path, b"+4")
    told: list[tuple[InstanceId, int | None]] = []
    gates.on_change(lambda instance, count: told.append((instance, count)))
    os.kill(daemon_pid(gates), signal.SIGKILL)
    await until(lambda: (ONE, None) in told, within=5, what="the count is not known any more")
    await until(lambda: gates.count(ONE) == 4, within=20, what="the count is known again")
    assert await asyncio.to_thread(path.read_bytes) == b"=4"
    write(path, b"-")
    assert gates.count(ONE) == 3
    assert gates.count(OTHER) == 0


async def test_a_count_is_not_known_until_the_file_is_in_place_again(tmp_path: Path) -> None:
    may_go_on = asyncio.Event()
    restored: list[InstanceId] = []

    async def restore(instance: InstanceId, file: Path) -> None:
        restored.append(instance)
        await may_go_on.wait()

    gates = GateClient(tmp_path / "gate", restore)
    try:
        await gates.start()
        await gates.create(ONE, reset=True)
        os.kill(daemon_pid(gates), signal.SIGKILL)
        await until(lambda: restored == [ONE], within=20, what="the file is put in place")
        assert gates.count(ONE) is None
        may_go_on.set()
        await until(lambda: gates.count(ONE) == 0, within=5, what="the count is known again")
    finally:
        may_go_on.set()
        await gates.shut_down()


async def test_two_agents_that_start_at_once_share_one_daemon(tmp_path: Path) -> None:
    first, second = GateClient(tmp_path / "gate"), GateClient(tmp_path / "gate")
    try:
        await asyncio.gather(first.start(), second.start())
        write(await first.create(ONE, reset=True), b"+")
        assert second.count(ONE) == 1
    finally:
        await second.close()
        await first.shut_down()


async def test_who_does_not_read_is_cut_off_and_holds_nobody_up(gates: GateClient) -> None:
    path = await gates.create(ONE, reset=True)
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(path.parents[1] / "socket"))
        idle.sendall(json.dumps({"id": 1, "do": "watch"}).encode() + b"\n")
        idle.recv(1 << 16)
        descriptor = os.open(path, os.O_WRONLY)
        try:
            for _ in range(30_000):
                os.write(descriptor, b"+")
                if not gates.count(ONE):  # also reads our own socket empty
                    pytest.fail("our own reader was cut off")
        finally:
            os.close(descriptor)
        idle.settimeout(5)
        while idle.recv(1 << 20):
            pass


@pytest.mark.parametrize(
    "line", ["no json", "[]", '{"do": "dance"}', '{"do": "create", "instance": "../x"}', "{}"]
)
async def test_what_is_no_request_gets_an_error(gates: GateClient, line: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(gates.file_of(ONE).parents[1] / "socket"))
        connection.sendall(line.encode() + b"\n")
        assert "error" in json.loads(connection.recv(4096))


async def test_nothing_is_left_after_it_was_shut_down() -> None:
    with tempfile.TemporaryDirectory() as directory:
        gates = GateClient(Path(directory, "gate"))
        await gates.start()
        pid = daemon_pid(gates)
        await gates.create(ONE, reset=True)
        await gates.shut_down()
        assert not Path(directory, "gate").exists()
        assert directory not in Path("/proc/mounts").read_text()
        await until(lambda: stamp_of(pid) is None, within=5, what="the daemon has ended")
