"""A flash and a beep that belong together, as a real Chromium shows and plays them."""

from __future__ import annotations

import asyncio
import statistics
import time

import numpy as np
import pytest
from playwright.async_api import Page

from streamserver.capture.clock import OPUS_FRAME_SAMPLES, OPUS_FRAME_SECONDS, rtp_time
from streamserver.capture.frames import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE, EncodedFrame
from streamserver.capture.opus import OpusEncoder
from streamserver.capture.x264 import H264Encoder
from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc.signaling import AudioRequest
from tests.waiting import until
from tests.webrtc.browser import look, open_page, watch
from tests.webrtc.hold_ups import BUSY, HoldUps
from tests.webrtc.room import HandStream, open_room

EVERY, LONG = 1.5, 0.25
"""Seconds from one flash to the next, and how long it lasts."""

TONE = 880
"""Hz."""

APART = 80
"""ms that nobody notices."""

SETTLED = 5
"""Flashes in a row by which it is judged."""

HELD_BACK = """async () => {
    const all = [...(await window.bob.pc.getStats()).values()];
    const sound = all.find((entry) => entry.type === "inbound-rtp" && entry.kind === "audio");
    return [1000 * sound.jitterBufferDelay, sound.jitterBufferEmittedCount];
}"""

LISTEN = """async () => {
    const {video} = window.bob;
    const seen = window.seen = {flashes: [], beeps: [], tones: []};
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1;
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    let bright = true;
    const show = () => {
        pen.drawImage(video, 0, 0, 1, 1);
        const now = pen.getImageData(0, 0, 1, 1).data[1] > 128;
        if (now && !bright) seen.flashes.push(performance.now());
        bright = now;
        video.requestVideoFrameCallback(show);
    };
    video.requestVideoFrameCallback(show);
    const context = new AudioContext();
    await context.resume();
    const analyser = new AnalyserNode(context, {fftSize: 2048, smoothingTimeConstant: 0});
    context.createMediaStreamSource(video.srcObject).connect(analyser);
    const samples = new Float32Array(256), spectrum = new Float32Array(analyser.frequencyBinCount);
    let loud = true;
    setInterval(() => {
        analyser.getFloatTimeDomainData(samples);
        const now = samples.some((sample) => Math.abs(sample) > 0.1);
        if (now && !loud) seen.beeps.push(performance.now());
        if (now) {
            analyser.getFloatFrequencyData(spectrum);
            seen.tones.push(spectrum.indexOf(Math.max(...spectrum)) * context.sampleRate / 2048);
        }
        loud = now;
    }, 4);
}"""


def on(moment: float) -> bool:
    return moment % EVERY < LONG


class Flashes(HandStream):
    """White while it beeps, else black; 30 pictures a second."""

    async def run(self) -> None:
        encoder = H264Encoder(320, 240, 30, 1000)
        while True:
            await asyncio.sleep(1 / 30)
            now = time.monotonic()
            luma = encoder.writable_picture().planes[0]
            luma.update(bytes([235 if on(now) else 16]) * luma.buffer_size)
            for plane in encoder.writable_picture().planes[1:]:
                plane.update(bytes([128]) * plane.buffer_size)
            keyframe, self.wants_keyframe = self.wants_keyframe, False
            encoded = encoder.encode(keyframe=keyframe)
            stamp = rtp_time(now, VIDEO_CLOCK_RATE)
            self.deliver(EncodedFrame(encoded.data, encoded.keyframe, stamp, now))


class Beeps(HandStream):
    """A tone while it flashes, else silence."""

    async def run(self) -> None:
        encoder, begin = OpusEncoder(96), time.monotonic()
        steps = np.arange(OPUS_FRAME_SAMPLES) / AUDIO_CLOCK_RATE
        while True:
            begin += OPUS_FRAME_SECONDS
            await asyncio.sleep(max(0.0, begin + OPUS_FRAME_SECONDS - time.monotonic()))
            wave = np.sin(2 * np.pi * TONE * (begin + steps)) * (((begin + steps) % EVERY) < LONG)
            chunk = np.repeat((wave * 12_000).astype("<i2"), 2).tobytes()
            data = encoder.encode(chunk)
            self.deliver(EncodedFrame(data, True, rtp_time(begin, AUDIO_CLOCK_RATE), begin))


def apart(flashes: list[float], beeps: list[float]) -> list[float]:
    """Return how long after each flash its beep was heard, ms; of the last flash it may still be to come."""
    return [min((beep - flash for beep in beeps), key=abs) for flash in flashes[:-1]]


async def enough(page: Page) -> None:
    """Wait for so many flashes and beeps."""
    seen = f"() => Math.min(seen.flashes.length, seen.beeps.length) > {SETTLED}"
    await page.wait_for_function(seen, timeout=60_000)


@pytest.mark.alone
async def test_what_belongs_together_is_seen_and_heard_together() -> None:
    flashes, beeps = Flashes(), Beeps("audio", "audio", "opus")
    async with (
        open_room(WebRTCSettings(udpmux=0, nat1to1=("127.0.0.1",)), flashes, sound=beeps) as room,
        open_page() as page,
    ):
        hold_ups = HoldUps()
        sources = [asyncio.create_task(source.run()) for source in (flashes, beeps)]
        try:
            await watch(room, page, "bob")
            await look(page, "bob", 5)
            await page.mouse.click(5, 5)  # without a gesture nothing is heard
            await page.evaluate(LISTEN)

            judged: list[str] = []
            deadline = time.monotonic() + 45
            while time.monotonic() < deadline:
                before = await page.evaluate(HELD_BACK)
                await page.evaluate("window.seen.flashes.length = window.seen.beeps.length = 0")
                await enough(page)
                seen = await page.evaluate("window.seen")
                after = await page.evaluate(HELD_BACK)
                held_back = (after[0] - before[0]) / max(after[1] - before[1], 1)
                lately = apart(seen["flashes"], seen["beeps"])
                judged.append(f"{statistics.median(lately):.0f} ms, held back {held_back:.0f}")
                if statistics.median(map(abs, lately)) <= APART:
                    break
            else:
                print(f"sound after picture: {'; '.join(judged)}; the machine held up {hold_ups.share:.0%}")
                if hold_ups.share > BUSY:
                    pytest.skip(f"the machine is too busy: it held up {hold_ups.share:.0%} of the time")
                raise AssertionError(f"sound after picture: {'; '.join(judged)}")
        finally:
            hold_ups.close()
            for source in sources:
                source.cancel()
            await asyncio.wait(sources)
    print(f"sound after picture: {'; '.join(judged)}")
    assert abs(statistics.median(seen["tones"]) - TONE) < 30


async def test_who_mutes_gets_no_packets_of_sound() -> None:
    beeps = Beeps("audio", "audio", "opus")
    async with open_room(None, sound=beeps) as room:
        source = asyncio.create_task(beeps.run())
        viewer = await room.viewer(room.session("bob"))
        await until(lambda: viewer.sounds > 10, within=10, what="it is heard")
        viewer.peer.set_audio(AudioRequest(disabled=True))
        sent = viewer.peer.audio.observe().packets
        await asyncio.sleep(0.4)
        assert viewer.peer.audio.observe().packets == sent
        assert not beeps.places, "and nothing is encoded for it"
        viewer.peer.set_audio(AudioRequest(disabled=False))
        heard = viewer.sounds
        await until(lambda: viewer.sounds > heard + 10, within=10, what="it is heard again")
        await viewer.close()
        source.cancel()
        await asyncio.wait((source,))
