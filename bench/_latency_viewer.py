"""The viewer of `bench.latency`: a real headless Chromium whose page presses keys and looks at one pixel."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from playwright.async_api import Page as Tab

from streamserver.desktop.x11 import XDisplay
from tests.e2e.page import Page
from tests.e2e.running_server import RunningServer

OUR_KEY = """down => document.querySelector("#keyboard").dispatchEvent(new KeyboardEvent(
    down ? "keydown" : "keyup", {key: "a", code: "KeyA", bubbles: true, cancelable: true}))"""

THEIR_KEY = "down => window.channel.send(down ? '1' : '0')"

WATCH = """async sdp => {
    const connection = window.connection = new RTCPeerConnection();
    const video = document.createElement("video");
    video.muted = video.autoplay = true;
    document.body.append(video);
    connection.ontrack = ({track}) => { video.srcObject = new MediaStream([track]); };
    const open = new Promise(resolve => {
        connection.ondatachannel = ({channel}) => {
            window.channel = channel;
            if (channel.readyState === "open") resolve(); else channel.onopen = resolve;
        };
    });
    window.ready = Promise.all([open, new Promise(resolve => video.requestVideoFrameCallback(resolve))]);
    await connection.setRemoteDescription({type: "offer", sdp});
    await connection.setLocalDescription(await connection.createAnswer());
    return connection.localDescription.sdp;
}"""

MEASURE = """async ({count, key}) => {
    const press = eval(key);
    const video = document.querySelector("video");
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    const look = () => {
        pen.drawImage(video, video.videoWidth >> 1, video.videoHeight >> 1, 1, 1, 0, 0, 1, 1);
        return pen.getImageData(0, 0, 1, 1).data[1] > 128;
    };
    const rest = ms => new Promise(resolve => setTimeout(resolve, ms));
    let waiting = null;
    const shown = (now, frame) => {
        const at = performance.now();
        video.requestVideoFrameCallback(shown);
        if (waiting === null || look() === waiting.before) return;  // looking costs: only while it matters
        waiting.resolve({at, received: frame.receiveTime});
        waiting = null;
    };
    video.requestVideoFrameCallback(shown);
    const presses = [];
    for (let number = 0; number < count; number++) {
        await rest(150 + 150 * Math.random());
        const before = look();
        const pressed = performance.now();
        const seen = new Promise(resolve => { waiting = {before, resolve}; });
        press(true);
        const frame = await Promise.race([seen, rest(3000).then(() => null)]);
        waiting = null;
        press(false);
        presses.push({pressed, origin: performance.timeOrigin, ...frame});
    }
    return presses;
}"""

WARM_UP = 5
"""Presses before those that count."""


@dataclass(frozen=True, slots=True)
class Press:
    """One key press, in ms of the page's clock, which began at `origin`, ms since 1970.

    `received`: the frame with the pixel came; `seen`: it was shown, None: not within 3 s.
    """

    origin: float
    pressed: float
    received: float
    seen: float | None


async def measure(tab: Tab, key: str, count: int) -> list[Press]:
    """Press keys by `key`, a function of the page that takes whether to press or release."""
    found = await tab.evaluate(MEASURE, {"count": count + WARM_UP, "key": key})
    return [
        Press(one["origin"], one["pressed"], one.get("received", 0.0), one.get("at"))
        for one in found[WARM_UP:]
    ]


async def watch_ours(tab: Tab, server: RunningServer) -> str:
    """Sign in on the real page and take control; return how to press a key."""
    page = await Page.open(tab, server.url)
    await page.sign_in("Ann", "test-admin")
    await page.sees_picture()
    await page.take_control()
    return OUR_KEY


async def watch_stock(tab: Tab, stock: Stock) -> str:
    """Watch stock aiortc on an empty page; return how to press a key."""
    await tab.goto("about:blank")
    answer = str(await tab.evaluate(WATCH, stock.ask(do="offer")["sdp"]))
    # the browser's names (mDNS) mean nothing to aiortc, which hears where the browser is
    lines = [line for line in answer.splitlines() if "candidate:" not in line]
    stock.ask(do="answer", sdp="\r\n".join([*lines, ""]))
    await tab.evaluate("window.ready")
    return THEIR_KEY


class Stock:
    """A process of `bench._latency_server`; one viewer each."""

    def __init__(self, kind: str, display: XDisplay) -> None:
        assert display.xauthority is not None
        user = display.owner.name if display.owner else ""
        arguments = (kind, display.name, str(display.xauthority), user)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench._latency_server", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to: IO[str] = self._process.stdin
        self._from: IO[str] = self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to.close()
        self._process.wait()

    def ask(self, **request: object) -> dict[str, str]:
        """Send one request and return the answer."""
        self._to.write(json.dumps(request) + "\n")
        self._to.flush()
        answer: dict[str, str] = json.loads(self._from.readline())
        return answer
