"""A person whose tabs can be hidden: Chromium by its DevTools alone.

Playwright keeps every page visible (it emulates focus), so that its tabs never hide. Here another tab in
front hides the first one as it does for people, and gestures are made by the browser itself.
"""

import asyncio
import base64
import contextlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.network import Namespace
from tests.waiting import POLL_INTERVAL, until

from .viewer import VIEWER

START_DEADLINE = 30.0
STOP_DEADLINE = 10.0


class Tabs:
    """A browser with one tab that matters, and another that may be put in front of it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._count = 0
        self._session = ""
        self._tab = ""
        self._other = ""

    async def begin(self) -> None:
        """Take the tab the browser has opened by itself, and open another one behind it."""
        deadline = asyncio.get_running_loop().time() + START_DEADLINE
        while not self._tab:
            targets = (await self._call("Target.getTargets"))["targetInfos"]
            self._tab = next((target["targetId"] for target in targets if target["type"] == "page"), "")
            assert asyncio.get_running_loop().time() < deadline, "the browser opens no tab"
        attached = await self._call("Target.attachToTarget", targetId=self._tab, flatten=True)
        self._session = attached["sessionId"]
        self._other = (await self._call("Target.createTarget", url="about:blank"))["targetId"]
        await self.show()

    async def go(self, url: str) -> None:
        """Open an address in the tab."""
        await self._call("Page.navigate", url=url)
        await self.sees("document.readyState === 'complete'")

    async def hide(self) -> None:
        """Put the other tab in front."""
        await self._call("Target.activateTarget", targetId=self._other)
        await self.sees("document.hidden")

    async def show(self) -> None:
        """Put the tab in front again."""
        await self._call("Target.activateTarget", targetId=self._tab)
        await self.sees("!document.hidden")

    async def sees(self, expression: str, within: float = 15) -> Any:
        """Wait until an expression of JavaScript is truthy, and return its value."""
        deadline = asyncio.get_running_loop().time() + within
        while not (value := await self.evaluate(expression)):
            assert asyncio.get_running_loop().time() < deadline, f"after {within} s still not: {expression}"
            await asyncio.sleep(POLL_INTERVAL)
        return value

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript."""
        answer = await self._call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        await self._call("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press and release a letter key."""
        about = {"key": key, "code": f"Key{key.upper()}", "windowsVirtualKeyCode": ord(key.upper())}
        await self._call("Input.dispatchKeyEvent", type="keyDown", text=key, **about)
        await self._call("Input.dispatchKeyEvent", type="keyUp", **about)

    async def click(self, x: float, y: float) -> None:
        """Press and release the left button there (px of the tab)."""
        for kind in ("mousePressed", "mouseReleased"):
            await self._call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
            )

    async def click_on(self, selector: str) -> None:
        """Click in the middle of an element."""
        box = await self.sees(
            f"(() => {{ const box = document.querySelector({selector!r})?.getBoundingClientRect();"
            " return box?.width ? [box.x + box.width / 2, box.y + box.height / 2] : null; })()"
        )
        await self.click(*box)

    async def picture(self) -> bytes:
        """Return what the tab shows, as PNG."""
        return base64.b64decode((await self._call("Page.captureScreenshot"))["data"])

    async def _call(self, method: str, **parameters: object) -> Any:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        await self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(await asyncio.wait_for(self._socket.recv(), 30))
            if answer.get("id") == self._count:
                assert "result" in answer, (method, answer)
                return answer["result"]


@contextlib.asynccontextmanager
async def tabs(namespace: Namespace) -> AsyncIterator[Tabs]:
    """Give a browser of its own inside a namespace; ended on exit."""
    account = pwd.getpwnam(VIEWER)
    directory = Path(tempfile.mkdtemp(prefix="catnap-tabs-"))
    profile = directory / "profile"
    profile.mkdir()
    directory.chmod(0o755)
    for path in (directory, profile):
        os.chown(path, account.pw_uid, account.pw_gid)
    process = subprocess.Popen(
        ["ip", "netns", "exec", namespace.name, "setpriv", "--reuid", VIEWER, "--regid", VIEWER,
         "--init-groups", "chromium", "--headless=new", "--disable-gpu", "--no-first-run",
         "--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1280,900", "about:blank"],
        env={**os.environ, "HOME": str(directory)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        note = profile / "DevToolsActivePort"
        lines = await until(
            lambda: note.exists() and len(found := note.read_text().split()) == 2 and found,
            within=START_DEADLINE,
            what="the browser listens",
        )
        assert lines
        port, path_ = lines
        sock = namespace.tcp_socket()
        sock.connect(("127.0.0.1", int(port)))
        sock.setblocking(False)
        url = f"ws://127.0.0.1:{port}{path_}"
        async with connect(url, sock=sock, max_size=None, ping_interval=None) as socket:
            browser = Tabs(socket)
            await browser.begin()
            yield browser
    finally:
        process.terminate()
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(directory, ignore_errors=True)
