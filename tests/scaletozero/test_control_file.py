"""The control file on a real file system."""

import os
import stat
from pathlib import Path

import pytest

from plugins.scaletozero.commands import Command, ControlFileError, WriteResult
from plugins.scaletozero.control_file import ControlFile


@pytest.mark.parametrize("before", ["", "+", "abc123"])
def test_a_plain_file_holds_the_last_command(tmp_path: Path, before: str) -> None:
    path = tmp_path / "scale_to_zero_disable"
    path.write_text(before)
    file = ControlFile(path)
    assert file.write(Command.RAISE) is WriteResult.WRITTEN
    assert path.read_text() == "+"
    assert file.write(Command.LOWER) is WriteResult.WRITTEN
    assert path.read_text() == "-"


@pytest.mark.parametrize("path", ["absent", "no/such/directory"])
def test_an_absent_file_is_not_created(tmp_path: Path, path: str) -> None:
    file = ControlFile(tmp_path / path)
    for command in Command:
        assert file.write(command) is WriteResult.ABSENT
    assert list(tmp_path.iterdir()) == []


def test_each_command_is_one_write_of_one_byte(tmp_path: Path) -> None:
    """Through a pipe with packet boundaries: what a command file would see."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        ControlFile(path).write(Command.RAISE)
        assert os.read(reader, 100) == b"+"
        ControlFile(path).write(Command.LOWER)
        assert os.read(reader, 100) == b"-"
    finally:
        os.close(reader)


def test_a_file_that_cannot_be_opened_is_named_with_its_errno(tmp_path: Path) -> None:
    with pytest.raises(ControlFileError, match=rf"cannot open {tmp_path} for '\+'.*errno 21 EISDIR"):
        ControlFile(tmp_path).write(Command.RAISE)


def test_a_file_that_refuses_the_write_is_named_with_its_errno() -> None:
    with pytest.raises(ControlFileError, match=r"cannot write /dev/full for '-'.*errno 28 ENOSPC"):
        ControlFile(Path("/dev/full")).write(Command.LOWER)


def test_a_component_that_is_no_directory_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlFileError, match="ENOTDIR"):
        ControlFile(tmp_path / "file" / "control").write(Command.RAISE)


@pytest.mark.parametrize(
    ("command", "refused"), [(Command.LOWER, True), (Command.RAISE, False)], ids=["minus", "plus"]
)
def test_erange_refuses_a_minus_and_fails_a_plus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, refused: bool
) -> None:
    """No ordinary file answers ERANGE to a write of one byte; the kernel's counter does."""

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(34, "Numerical result out of range")

    path = tmp_path / "control"
    path.touch()
    monkeypatch.setattr(os, "write", refuse)
    if refused:
        assert ControlFile(path).write(command) is WriteResult.REFUSED
    else:
        with pytest.raises(ControlFileError, match="ERANGE"):
            ControlFile(path).write(command)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "control"
    path.touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        ControlFile(path).write(Command.RAISE)
    with pytest.raises(ControlFileError):
        ControlFile(Path("/dev/full")).write(Command.RAISE)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert stat.S_ISREG(path.stat().st_mode)
