"""Selkies (PyPI `selkies`) as a peer of `bench.latency`: the same screen, its own page, the same browser.

It gets an environment of its own in `.cache/bench`, made once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.async_api import Error
from playwright.async_api import Page as Tab

from streamserver.desktop.x11 import XDisplay
from tests.e2e.running_server import free_port
from tests.e2e.viewer import VIEWER

REQUIREMENT = "selkies==2.1.0"
ENVIRONMENT = Path(__file__).parent.parent / ".cache" / "bench" / REQUIREMENT
PROGRAM = ENVIRONMENT / "bin" / "selkies"
START_SECONDS = 40.0
PICTURE_SECONDS = 20.0

PLAYS = """() => {
    const video = document.querySelector("#stream");
    return video !== null && video.videoWidth > 0 && !video.paused;
}"""

KEY = """down => document.body.dispatchEvent(new KeyboardEvent(
    down ? "keydown" : "keyup", {key: "a", code: "KeyA", keyCode: 65, bubbles: true, cancelable: true}))"""


class NoSelkiesError(Exception):
    """Selkies cannot be had or does not start; the text is its answer."""


def install() -> None:
    """Install it where it is not there yet. Raises `NoSelkiesError`."""
    if not (ENVIRONMENT / "ready").exists():
        uv = Path(sys.executable).parent / "uv"
        environment = str(ENVIRONMENT)
        for command in (
            (str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, environment),
            (str(uv), "pip", "install", "--quiet", "--python", f"{environment}/bin/python", REQUIREMENT),
        ):
            try:
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            except subprocess.CalledProcessError as error:
                raise NoSelkiesError(error.stderr.strip()) from error
            except (OSError, subprocess.TimeoutExpired) as error:
                raise NoSelkiesError(str(error)) from error
        (ENVIRONMENT / "ready").touch()


@contextmanager
def selkies(display: XDisplay, fps: int, bitrate: int) -> Iterator[str]:
    """Run it on the display; gives its page's address. `bitrate` in kbit/s."""
    with tempfile.TemporaryDirectory(prefix="catnap-bench-") as home:
        port = free_port()
        log = Path(home) / "log"
        settings = {
            "addr": "127.0.0.1",
            "port": port,
            "mode": "webrtc",
            "encoder": "h264enc",
            "use-cpu": "true",
            "framerate": f"{fps}-{fps}",
            "video-bitrate": bitrate,
            "rate-control-mode": "cbr",
            "enable-resize": "false",
            "audio-enabled": "false",
            "microphone-enabled": "false",
            "gamepad-enabled": "false",
            "js-socket-path": home,
            "enable-https": "false",
            "enable-basic-auth": "false",
            "stun-host": "127.0.0.1",  # nobody outside is asked
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        environment = {**os.environ, **display.environment(), "HOME": home}
        # as the X server's user: the two share memory
        user = ("setpriv", "--reuid", VIEWER, "--regid", VIEWER, "--init-groups")
        shutil.chown(home, VIEWER, VIEWER)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*user, PROGRAM, *arguments], env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            address = f"http://127.0.0.1:{port}/"
            _wait(process, address, log)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(address, timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise NoSelkiesError(f"it does not answer ({process.poll()}): {_last_lines(log)}")


def _last_lines(log: Path) -> str:
    return " | ".join(log.read_text(errors="replace").splitlines()[-5:])


async def watch(tab: Tab, address: str) -> str:
    """Open its page and start the picture; return how to press a key."""
    try:
        await tab.goto(address)
        deadline = time.monotonic() + PICTURE_SECONDS
        while not await tab.evaluate(PLAYS):
            if time.monotonic() > deadline:
                raise NoSelkiesError(f"its page shows no picture in {PICTURE_SECONDS} s")
            await tab.mouse.click(640, 400)  # its sound asks for a gesture, and the picture with it
            await tab.wait_for_timeout(500)
    except Error as error:
        raise NoSelkiesError(f"its page fails: {str(error).splitlines()[0]}") from error
    return KEY
