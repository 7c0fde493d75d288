"""`catnap serve` as an operator runs it: its own process, a configuration file, a log."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from streamserver.desktop.x11 import XDisplay
from tests.waiting import wait_until

START_DEADLINE = 40.0
"""Seconds until the server must answer; the display, the sound and a cold Chromium start take most of it."""
STOP_DEADLINE = 20.0


def free_port() -> int:
    """Return a TCP port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, section by section."""
    result = dict(base)
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


class RunningServer:
    """One server with its own ports, run directory, profile and control file; stopped on exit."""

    def __init__(self, directory: Path, launcher: Sequence[str] = (), **changes: Any) -> None:
        """Lay everything out; `launcher` are words in front of the command."""
        self.directory = directory
        self._launcher = launcher
        self.port = free_port()
        self.control_file = directory / "scale_to_zero_disable"
        self.log_file = directory / "server.log"
        self.run_dir = directory / "run"
        self.config_file = directory / "neko.yaml"
        self.control_file.write_text("")
        profile = directory / "profile"
        profile.mkdir()
        shutil.chown(profile, "catnap", "catnap")
        settings: dict[str, Any] = {
            "server": {"bind": f"0.0.0.0:{self.port}", "run_dir": str(self.run_dir)},
            "webrtc": {"udpmux": 0},
            "desktop": {"screen": "1280x720@30", "max_screen": "1920x1080"},
            "browser": {"profile_dir": str(profile), "url": "about:blank"},
            "member": {"multiuser": {"user_password": "test-user", "admin_password": "test-admin"}},
            "scaletozero": {"enabled": True, "control_file": str(self.control_file), "cooldown": "1s"},
        }
        self.config_file.write_text(yaml.safe_dump(merged(settings, changes)))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            sys.stderr.write(f"--- log of the server\n{self.log}\n")

    @property
    def url(self) -> str:
        """The address of the page from this machine."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        """Everything the server has logged."""
        return self.log_file.read_text(errors="replace")

    @property
    def gate(self) -> str:
        """The last command written to the control file."""
        return self.control_file.read_text()

    @property
    def display(self) -> XDisplay:
        """The server's display, which tests may draw on."""
        number = re.search(r"desktop started.* display=(:\d+)", self.log)
        assert number, "the server has not logged its display"
        return XDisplay(number[1], next(self.run_dir.glob("**/Xauthority")), None)

    def start(self) -> None:
        """Start the process and wait until it answers and the browser runs."""
        catnap = Path(sys.executable).with_name("catnap")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NEKO_")}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._launcher, str(catnap), "serve", "--config", str(self.config_file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        wait_until(self._answers, within=START_DEADLINE, what=f"{self.url} answers")

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log}")
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}health", timeout=2).status_code == 200
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, within: float = STOP_DEADLINE) -> int:
        """Wait for the end of the process and return its exit code."""
        assert self.process is not None
        return self.process.wait(within)

    def stop(self) -> None:
        """Stop the process as an operator does; kill it when it does not obey."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def lines(self, text: str) -> list[str]:
        """Return the log lines that contain `text`."""
        return [line for line in self.log.splitlines() if text in line]


@contextlib.contextmanager
def running_server(launcher: Sequence[str] = (), **changes: Any) -> Iterator[RunningServer]:
    """Run a server in a directory of its own that its users' processes may enter."""
    with tempfile.TemporaryDirectory(prefix="catnap-e2e-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        with RunningServer(directory, launcher, **changes) as server:
            yield server
