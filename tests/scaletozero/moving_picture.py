"""Something that moves on a display, and a viewer that notes when each frame of it arrives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import xcffib
import xcffib.xproto
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection

from streamserver.desktop.x11 import XDisplay
from tests.e2e.protocol_client import receive_event

FRAME_INTERVAL = 1 / 30
"""Seconds: the rate of the picture."""
SIDE = 64


@contextlib.contextmanager
def moving(display: XDisplay) -> Iterator[None]:
    """Change a square on the display 30 times a second."""
    connection = display.connect()
    core = xcffib.xproto.xprotoExtension(connection)
    screen = connection.get_setup().roots[0]
    window, context = connection.generate_id(), connection.generate_id()
    core.CreateWindow(
        screen.root_depth, window, screen.root, 0, 0, SIDE, SIDE, 0,
        xcffib.xproto.WindowClass.InputOutput, screen.root_visual,
        xcffib.xproto.CW.BackPixel | xcffib.xproto.CW.OverrideRedirect, [0, 1],
    )  # fmt: skip
    core.MapWindow(window)
    core.CreateGC(context, window, xcffib.xproto.GC.Foreground, [0])
    square = xcffib.xproto.RECTANGLE.synthetic(0, 0, SIDE, SIDE)
    ended = threading.Event()

    def move() -> None:
        for step in itertools.count():
            if ended.wait(FRAME_INTERVAL):
                return
            core.ChangeGC(context, xcffib.xproto.GC.Foreground, [step * 0x070B0D & 0xFFFFFF])
            core.PolyFillRectangle(window, context, 1, [square])
            connection.flush()

    mover = threading.Thread(target=move, daemon=True)
    mover.start()
    try:
        yield
    finally:
        ended.set()
        mover.join(5)
        connection.disconnect()


class Watcher:
    """aiortc's client, which notes when the first packet of each frame arrives."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        """Seconds of the monotonic clock."""
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._rtp_time = -1

    async def watch(self, connection: ClientConnection) -> None:
        """Ask for the picture over the session's WebSocket."""
        await connection.send(json.dumps({"event": "signal/request", "payload": {}}))
        provide = await receive_event(connection, "signal/provide")
        await self._pc.setRemoteDescription(RTCSessionDescription(provide["payload"]["sdp"], "offer"))
        self._note_packets()
        await self._pc.setLocalDescription(await self._pc.createAnswer())
        answer = {"event": "signal/answer", "payload": {"sdp": self._pc.localDescription.sdp}}
        await connection.send(json.dumps(answer))

    def longest_gap(self, begin: float, end: float) -> float:
        """Return the longest time without a frame between two moments."""
        times = [begin, *(arrival for arrival in self.arrivals if begin < arrival < end), end]
        return max(later - earlier for earlier, later in itertools.pairwise(times))

    async def close(self) -> None:
        await self._pc.close()

    def _note_packets(self) -> None:
        """Look at packets where aiortc takes them, before it decodes anything, and let it not decode."""
        video = next(each.receiver for each in self._pc.getTransceivers() if each.kind == "video")

        async def note(packet: Any, arrival_time_ms: int) -> None:
            if packet.timestamp != self._rtp_time:
                self._rtp_time = packet.timestamp
                self.arrivals.append(time.monotonic())

        object.__setattr__(video, "_handle_rtp_packet", note)


@contextlib.asynccontextmanager
async def watching(connection: ClientConnection) -> AsyncIterator[Watcher]:
    """Watch, and read what else the server says, until exit."""
    watcher = Watcher()
    await watcher.watch(connection)

    async def listen() -> None:
        async for _ in connection:
            pass

    listening = asyncio.create_task(listen())
    try:
        yield watcher
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        await watcher.close()
