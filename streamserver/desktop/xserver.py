"""The X server we start: Xvfb, as the desktop's user, with a cookie of ours."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from streamserver.config.types import ScreenSize
from streamserver.desktop import xauthority
from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import ChildProcess, base_environment
from streamserver.desktop.x11 import XDisplay, display_number

START_TIMEOUT = 20.0
"""Seconds Xvfb gets until it takes connections."""
_PROBE_TIMEOUT = 1.0
_SOCKETS = Path("/tmp/.X11-unix")  # noqa: S108 - fixed by the X protocol
_EXTENSIONS = ("MIT-SHM", "XTEST", "XFIXES", "RANDR", "DAMAGE", "RENDER", "COMPOSITE")


def is_running(name: str) -> bool:
    """Whether something listens on the display's socket."""
    display = XDisplay(name, None, None)
    return _listens(str(display.socket)) or _listens(f"\0{display.socket}")


def _listens(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        return probe.connect_ex(address) == 0


class XServer:
    """An Xvfb that keeps its display number and cookie over restarts, so that clients find it again."""

    def __init__(
        self, account: Account, directory: Path, framebuffer: ScreenSize, number: int | None = None
    ) -> None:
        """Take who runs it, where its files go, its largest screen, and its number (None: the first free)."""
        self._account = account
        self._directory = directory
        self._framebuffer = framebuffer
        self._number = number
        self._child: ChildProcess | None = None
        self._cookie_file = directory / "Xauthority"

    @property
    def display(self) -> XDisplay:
        """How to reach it, once it has been started."""
        assert self._number is not None, "the X server has not been started"
        return XDisplay(f":{self._number}", self._cookie_file, self._account)

    async def start(self) -> None:
        """Start it and return when it takes connections.

        Raises:
            DesktopError: it did not start; its output is in the log at debug.
        """
        if not self._cookie_file.exists():
            write_private(self._account, self._cookie_file, xauthority.pack([xauthority.new_cookie()]))
        _make_socket_directory()
        reader, writer = os.pipe()
        try:
            self._child = await ChildProcess.start(
                "Xvfb", self._command(writer), account=self._account,
                environment=base_environment(self._account, self._directory), directory=self._directory,
                keep_open=[writer],
            )  # fmt: skip
            os.close(writer)
            writer = -1
            self._number = await self._reported_number(reader)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)

    async def wait(self) -> int:
        """Return its exit code once it has ended."""
        assert self._child is not None
        return await self._child.wait()

    async def stop(self) -> None:
        """End it and remove its socket."""
        if self._child is None:
            return
        await self._child.stop()
        self._child = None
        if self._number is not None and not is_running(f":{self._number}"):
            with contextlib.suppress(OSError), self._account.file_access():
                self.display.socket.unlink()

    def _command(self, ready_descriptor: int) -> list[str]:
        size = f"{self._framebuffer.width}x{self._framebuffer.height}x24"
        command = ["Xvfb"]
        if self._number is not None:
            command.append(f":{self._number}")
        command += ["-displayfd", str(ready_descriptor), "-auth", str(self._cookie_file)]
        command += ["-screen", "0", size, "-dpi", "96", "-nolisten", "tcp", "-noreset", "-s", "0"]
        for extension in _EXTENSIONS:
            command += ["+extension", extension]
        return command

    async def _reported_number(self, reader: int) -> int:
        assert self._child is not None
        loop = asyncio.get_running_loop()
        report: asyncio.Future[bytes] = loop.create_future()
        collected = bytearray()

        def readable() -> None:
            chunk = os.read(reader, 64)
            collected.extend(chunk)
            if not report.done() and (not chunk or collected.endswith(b"\n")):
                report.set_result(bytes(collected))

        loop.add_reader(reader, readable)
        try:
            text = await asyncio.wait_for(report, START_TIMEOUT)
        except TimeoutError:
            await self.stop()
            raise DesktopError(f"Xvfb was not ready within {START_TIMEOUT:g} s") from None
        finally:
            loop.remove_reader(reader)
        if not text.strip().isdigit():
            await self.stop()
            raise DesktopError("Xvfb ended before it was ready; its output is in the log at level debug")
        return int(text)


def _make_socket_directory() -> None:
    """Make what only root can make as it should be: owned by root and open to all."""
    if os.geteuid() == 0 and not _SOCKETS.exists():
        with contextlib.suppress(FileExistsError):
            _SOCKETS.mkdir()
            _SOCKETS.chmod(0o1777)


def number_to_start(configured: str) -> int | None:
    """Return the display number that `desktop.display` asks for, None for any."""
    return display_number(configured) if configured else None


def write_private(account: Account, path: Path, content: bytes) -> None:
    """Write a file that only its owner (and root) reads, owned by the account, all of it or nothing."""
    with account.file_access():
        temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
