"""Encodes of a picture that is all motion, each at its full bitrate, by capture's encoder."""

from __future__ import annotations

import asyncio
import time
from functools import cache

import numpy as np

from streamserver.capture.frames import VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.rung_encoder import MODEST_ALLOWANCE
from streamserver.capture.schedule import KEYFRAME_INTERVAL
from streamserver.capture.x264 import EncodedPicture, H264Encoder
from tests.webrtc.room import HandStream

WIDTH, HEIGHT = 640, 360
LOOP = 60

Luma = np.ndarray[tuple[int, int], np.dtype[np.uint8]]


@cache
def pictures() -> list[Luma]:
    """Noise that drifts: every rate can be filled with it."""
    noise = np.random.default_rng(3).integers(30, 220, (HEIGHT // 2, WIDTH // 2), dtype=np.uint8)
    noise = np.kron(noise, np.ones((2, 2), dtype=np.uint8))
    return [np.roll(noise, (number * 5, number * 3), (0, 1)) for number in range(LOOP)]


class MovingVideo(HandStream):
    """One of the encodes; it runs while somebody listens. `bitrate` in bit/s."""

    def __init__(self, stream_id: str, bitrate: int, rate: int) -> None:
        super().__init__(stream_id, bitrate=bitrate)
        self._rate = rate
        self._encoder = H264Encoder(WIDTH, HEIGHT, rate, bitrate // 1000)

    async def run(self) -> None:
        """Encode until cancelled, in a thread: the loop has viewers to serve."""
        number, due, last_keyframe, running = 0, time.monotonic(), 0.0, True
        while True:
            due = max(due + 1 / self._rate, time.monotonic() - 0.1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not self.places:
                running = False
                continue
            if not running:  # as capture does: for those who come from another quality
                self._encoder.restart(MODEST_ALLOWANCE)
                running = True
            number += 1
            now = time.monotonic()
            keyframe = self.wants_keyframe and now - last_keyframe > KEYFRAME_INTERVAL
            if keyframe:
                self.wants_keyframe, last_keyframe = False, now
            encoded = await asyncio.to_thread(self._encode, number, keyframe)
            stamp = int(now * VIDEO_CLOCK_RATE) & 0xFFFFFFFF
            self.deliver(EncodedFrame(encoded.data, encoded.keyframe, stamp, now))

    def _encode(self, number: int, keyframe: bool) -> EncodedPicture:
        luma = self._encoder.writable_picture().planes[0]
        rows = np.frombuffer(memoryview(luma), np.uint8).reshape(-1, luma.line_size)
        rows[:HEIGHT, :WIDTH] = pictures()[number % LOOP]
        return self._encoder.encode(keyframe=keyframe)
