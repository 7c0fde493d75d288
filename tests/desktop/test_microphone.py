"""What viewers say, in a real sound server: heard from the source that pages record, and nowhere else."""

import asyncio
import os
import struct
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from streamserver.desktop.account import Account
from streamserver.desktop.microphone import Microphone
from streamserver.desktop.sound import SoundDaemon, SoundServer
from tests.desktop.conftest import require

DEVICE = "audio_input"


@pytest.fixture
async def sound(account: Account, own_dir: Path) -> AsyncIterator[SoundServer]:
    require("pulseaudio", "pacat", "parec", "pactl")
    daemon = SoundDaemon(account, own_dir, DEVICE)
    server = await daemon.start()
    assert server is not None
    yield server
    await daemon.stop()


async def loudest(sound: SoundServer, source: str, seconds: float) -> int:
    """Record for a while and return the highest sample."""
    recorder = await asyncio.create_subprocess_exec(
        "parec", f"--device={source}", "--format=s16le", "--rate=48000", "--channels=2", "--raw",
        "--latency-msec=20",
        stdout=subprocess.PIPE, env={**os.environ, "PULSE_SERVER": sound.server},
    )  # fmt: skip
    assert recorder.stdout is not None
    try:
        samples = await recorder.stdout.readexactly(int(seconds * 48_000) * 4)
    finally:
        recorder.kill()
        await recorder.wait()
    loud: int = max(map(abs, struct.unpack(f"<{len(samples) // 2}h", samples)))
    return loud


async def test_pages_hear_a_viewer_and_viewers_do_not(sound: SoundServer) -> None:
    assert sound.microphone == "microphone"
    assert sound.environment()["PULSE_SOURCE"] == "microphone"
    voice = await Microphone(sound, DEVICE).open()
    tone = (np.sin(2 * np.pi * 440 * np.arange(960) / 48_000) * 16_000).astype(np.int16)
    packet = np.repeat(tone, 2).tobytes()

    async def speak() -> None:
        while True:
            voice.write(packet)
            await asyncio.sleep(0.02)

    speaking = asyncio.create_task(speak())
    try:
        async with asyncio.timeout(20):
            while await loudest(sound, "microphone", 0.3) < 8_000:
                await asyncio.sleep(0.05)
        assert await loudest(sound, sound.source, 0.3) == 0
    finally:
        speaking.cancel()
        await voice.close()
    voice.write(packet)  # too late, and nobody minds
    pactl = await asyncio.create_subprocess_exec(
        "pactl", "info", stdout=subprocess.PIPE, env={**os.environ, "PULSE_SERVER": sound.server}
    )
    told = (await pactl.communicate())[0].decode()
    assert "Default Sink: audio_output" in told
    assert "Default Source: microphone" in told
