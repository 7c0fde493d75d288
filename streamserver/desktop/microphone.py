"""The browser's microphone: what a viewer says is played into a sink that leads nowhere but there."""

import asyncio
import contextlib
import os
import subprocess

from streamserver.desktop.errors import DesktopError
from streamserver.desktop.sound import SAMPLE_RATE, SoundServer
from streamserver.logs import get_logger

PLAYER = "pacat"
CHANNELS = 2
LATENCY_MS = 40
"""What PulseAudio may keep before it is heard, milliseconds."""
MAX_WAITING = SAMPLE_RATE * CHANNELS * 2 // 5
"""Bytes that may wait for PulseAudio, 0.2 s; more is dropped rather than heard late."""

log = get_logger("desktop")


class Voice:
    """Somebody who speaks: 16-bit samples, 48 kHz, two channels."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use `Microphone.open`."""
        assert process.stdin is not None
        self._process = process
        self._pipe = process.stdin

    def write(self, samples: bytes) -> None:
        """Say something. Never waits; what PulseAudio does not take in time is lost."""
        if not self._pipe.is_closing() and self._pipe.transport.get_write_buffer_size() < MAX_WAITING:
            self._pipe.write(samples)

    async def close(self) -> None:
        """Fall silent."""
        self._pipe.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class Microphone:
    """Where viewers can be heard by pages."""

    def __init__(self, sound: SoundServer, device: str) -> None:
        """`device` is the sink whose monitor is the browser's microphone."""
        self._sound = sound
        self._device = device

    async def open(self) -> Voice:
        """Begin to speak.

        Raises:
            DesktopError: the sound server's player cannot be started.
        """
        owner = self._sound.owner
        other = None if owner.is_ourselves else owner
        try:
            process = await asyncio.create_subprocess_exec(
                PLAYER, "--playback", f"--device={self._device}", "--format=s16le", f"--rate={SAMPLE_RATE}",
                f"--channels={CHANNELS}", f"--latency-msec={LATENCY_MS}", "--raw", "--client-name=catnap",
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={
                    "PATH": os.environ.get("PATH", os.defpath), "HOME": str(owner.home),
                    "LC_ALL": "C.UTF-8", **self._sound.environment(),
                },
                cwd="/", start_new_session=True,
                user=other.uid if other else None, group=other.gid if other else None,
                extra_groups=other.groups if other else None,
            )  # fmt: skip
        except OSError as error:
            raise DesktopError(f"cannot run {PLAYER}: {error} (apt install pulseaudio-utils)") from error
        return Voice(process)
