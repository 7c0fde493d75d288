"""The camera's device: which one takes pictures, and what it is asked; the kernel is a stand-in."""

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest

from streamserver.desktop import v4l2
from streamserver.desktop.camera import Camera
from streamserver.desktop.errors import DesktopError


class Device:
    """What v4l2loopback answers, on a pipe: whatever is written can be read."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        os.mkfifo(path)
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.capabilities = v4l2._DEVICE_CAPS | 0x7
        self.own = 0x2
        self.size: tuple[int, int] | None = None
        self.error = 0
        monkeypatch.setattr(fcntl, "ioctl", self._ioctl)

    def _ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        assert os.fstat(descriptor).st_ino == os.fstat(self.reader).st_ino
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        if request == v4l2.QUERYCAP:
            names = b"v4l2 loopback", b"Dummy", b"platform"
            return v4l2.CAPABILITY.pack(*names, 0x50F00, self.capabilities, self.own)
        assert request == v4l2.S_FMT
        kind, width, height, pixels, *rest = v4l2.FORMAT.unpack(argument)
        assert (kind, pixels, rest[2]) == (2, int.from_bytes(b"YU12", "little"), width * height * 3 // 2)
        if self.size is not None:
            width, height = self.size
        return v4l2.FORMAT.pack(kind, width, height, pixels, *rest)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(tmp_path / "video9", monkeypatch)


def test_the_requests_are_those_of_the_header() -> None:
    size = struct.calcsize("=16s32s32s6I")
    assert v4l2.CAPABILITY.size == size == v4l2.QUERYCAP >> 16 & 0x3FFF
    assert v4l2.FORMAT.size == 208 == v4l2.S_FMT >> 16 & 0x3FFF


def test_pictures_reach_a_device_that_takes_them(device: Device, tmp_path: Path) -> None:
    camera = Camera(tmp_path / "video9", 64, 64)
    assert camera.why_not() == ""
    pictures = camera.open()
    picture = bytes(range(256)) * 24
    pictures.write(picture)
    assert os.read(device.reader, 10_000) == picture
    for _ in range(100):
        pictures.write(picture)  # nobody reads; it does not wait
    pictures.close()


def test_what_takes_no_pictures_is_named(device: Device, tmp_path: Path) -> None:
    camera = Camera(tmp_path / "video9", 64, 64)
    device.own = 0x1
    assert "video9 (Dummy) takes no pictures" in camera.why_not()
    device.capabilities, device.own = 0x2, 0
    assert camera.why_not() == "", "an old driver has no list of its own"
    device.error = errno.ENOTTY
    assert "is no Video4Linux device" in camera.why_not()
    device.error = errno.EBUSY
    with pytest.raises(DesktopError, match="takes no 64x64 pictures"):
        camera.open()
    device.error, device.size = 0, (640, 480)
    with pytest.raises(DesktopError, match="would take 640x480 pictures"):
        camera.open()


def test_a_machine_without_one(tmp_path: Path) -> None:
    assert "v4l2loopback" in Camera(tmp_path / "video9", 64, 64).why_not()
    assert "is no Video4Linux device" in Camera(Path("/dev/null"), 64, 64).why_not()
    with pytest.raises(DesktopError, match="cannot be opened"):
        Camera(tmp_path / "video9", 64, 64).open()
