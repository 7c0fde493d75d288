"""One viewer in control that sends on the data channel, in a process of its own.

`python -m tests.load.flood_channel PORT RATE`: moves, keys, unknown and malformed messages. It prints a line
when it begins; the end of input ends it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import Any

import aioice.ice
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from streamserver.webrtc.data_channel import Key, Move, encode_client_message
from tests.load.wire import Wire, log_in

MESSAGES = [
    encode_client_message(Move(100, 100)),
    encode_client_message(Move(140, 120)),
    encode_client_message(Key(97, True)),
    encode_client_message(Key(97, False)),
    b"\x7f\x00\x01x",
    b"\x01",
]
TICK = 0.01
"""Seconds between two bursts."""


async def flood(port: int, rate: float) -> None:
    """Send until the end of input."""
    loop = asyncio.get_running_loop()
    (token,) = log_in(port, ["flood"])
    wire = Wire(port, token)
    wire.send("signal/request", {})
    wire.send("control/request", None)
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    opened: asyncio.Future[Any] = loop.create_future()
    pc.on("datachannel", opened.set_result)

    async def ignore(packet: object, arrival_time_ms: int) -> None:
        """Take a packet of the picture and decode nothing."""

    async def answer(offer: str) -> None:
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        for transceiver in pc.getTransceivers():
            object.__setattr__(transceiver.receiver, "_handle_rtp_packet", ignore)
        await pc.setLocalDescription(await pc.createAnswer())
        wire.send("signal/answer", {"sdp": pc.localDescription.sdp})

    answering: list[asyncio.Task[None]] = []

    def hear() -> None:
        for text in wire.take(keep=True):
            message = json.loads(text)
            if message["event"] == "signal/provide":
                answering.append(asyncio.create_task(answer(message["payload"]["sdp"])))

    loop.add_reader(wire.fileno(), hear)
    channel = await asyncio.wait_for(opened, 30)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    print(json.dumps("sending"), flush=True)
    messages = itertools.cycle(MESSAGES)
    begin, sent = time.monotonic(), 0
    while not ended.is_set():
        due = int((time.monotonic() - begin) * rate)
        for _ in range(sent, due):
            channel.send(next(messages))
        sent = due
        await asyncio.sleep(TICK)
    wire.leave()


if __name__ == "__main__":
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    asyncio.run(flood(int(sys.argv[1]), float(sys.argv[2])))
