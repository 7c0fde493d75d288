"""The control file of the tests behaves like the platform's, and `ControlFile` understands it."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.scaletozero.commands import Command, ControlFileError, WriteResult
from plugins.scaletozero.control_file import ControlFile
from tests.scaletozero.fuse_control_file import FuseControlFile
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def mounted() -> Iterator[FuseControlFile]:
    with FuseControlFile() as file:
        yield file


@pytest.fixture
def file(mounted: FuseControlFile) -> FuseControlFile:
    mounted.reset()
    return mounted


def write(file: FuseControlFile, text: bytes) -> None:
    descriptor = os.open(file.path, os.O_WRONLY)
    try:
        assert os.write(descriptor, text) == len(text)
    finally:
        os.close(descriptor)


def test_it_counts_and_reads_as_the_platforms(file: FuseControlFile) -> None:
    for text, value in ((b"+", 1), (b"+", 2), (b"-", 1), (b"=7", 7), (b"+3", 10), (b"-10", 0)):
        write(file, text)
        assert file.path.read_text() == f"={value}"
    assert file.taken == "++-=7+3-10"


def test_each_write_is_a_command_wherever_it_is_and_truncation_does_nothing(file: FuseControlFile) -> None:
    descriptor = os.open(file.path, os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
    os.write(descriptor, b"+")
    os.write(descriptor, b"+")
    os.pwrite(descriptor, b"+", 1000)
    os.ftruncate(descriptor, 0)
    os.close(descriptor)
    assert file.value == 3


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"-", errno.ERANGE),
        (b"-2", errno.ERANGE),
        (b"=99999999999999999999", errno.ERANGE),
        (b"++", errno.EINVAL),
        (b"+\n", errno.EINVAL),
        (b"x", errno.EINVAL),
        (b"=", errno.EINVAL),
    ],
)
def test_it_refuses_what_the_platform_refuses(file: FuseControlFile, text: bytes, error: int) -> None:
    with pytest.raises(OSError) as raised:
        write(file, text)
    assert raised.value.errno == error
    assert file.value == 0
    assert file.taken == ""


def test_our_writer_understands_its_answers(file: FuseControlFile) -> None:
    control = ControlFile(file.path)
    assert control.write(Command.LOWER) is WriteResult.REFUSED
    assert control.write(Command.RAISE) is WriteResult.WRITTEN
    assert control.write(Command.LOWER) is WriteResult.WRITTEN
    file.fail(errno.EIO)
    with pytest.raises(ControlFileError, match=r"cannot write .*errno 5 EIO"):
        control.write(Command.RAISE)
    file.fail(0)
    file.fail(errno.EACCES, at="open")
    with pytest.raises(ControlFileError, match=r"cannot open .*errno 13 EACCES"):
        control.write(Command.RAISE)
    file.fail(0, at="open")
    file.disappear()
    assert control.write(Command.RAISE) is WriteResult.ABSENT
    assert not file.path.exists()
    file.come_back()
    assert control.write(Command.RAISE) is WriteResult.WRITTEN
    assert (file.value, file.taken, file.refused) == (1, "+-+", 1)


@pytest.mark.parametrize(("when", "counted"), [("before", 0), ("after", 1)])
def test_it_blocks_before_or_after_it_counts(file: FuseControlFile, when: str, counted: int) -> None:
    file.block(when="before" if when == "before" else "after")
    writer = threading.Thread(target=ControlFile(file.path).write, args=(Command.RAISE,), daemon=True)
    writer.start()
    wait_until(lambda: file.blocked, within=5, what="the write is blocked")
    assert (file.value, file.attempts) == (counted, "+")
    assert writer.is_alive()
    file.unblock()
    writer.join(5)
    assert not writer.is_alive()
    assert file.value == 1


def test_it_unblocks_by_itself(file: FuseControlFile) -> None:
    file.block(0.2)
    began = time.monotonic()
    ControlFile(file.path).write(Command.RAISE)
    assert time.monotonic() - began >= 0.19


def test_it_is_unmounted_whatever_it_was_doing() -> None:
    with FuseControlFile() as file:
        file.block()
        writer = threading.Thread(target=ControlFile(file.path).write, args=(Command.RAISE,), daemon=True)
        writer.start()
        wait_until(lambda: file.blocked, within=5, what="the write is blocked")
        mount_point = file.path.parent
    writer.join(5)
    assert not writer.is_alive()
    assert not mount_point.exists()
    assert str(mount_point) not in Path("/proc/mounts").read_text()
