"""Sound from PulseAudio, by its own recorder `parec`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .clock import OPUS_FRAME_SAMPLES
from .errors import SoundLostError

RECORDER = "parec"

CHANNELS = 2

CHUNK_BYTES = OPUS_FRAME_SAMPLES * CHANNELS * 2
"""One Opus packet of 48 kHz stereo in 16-bit little-endian samples."""

LATENCY_MS = 10
"""What PulseAudio may collect before it hands sound over, milliseconds."""

STOP_SECONDS = 2.0
"""How long the recorder may take to end before it is killed."""


class Account(Protocol):
    """The account the sound server runs as."""

    @property
    def uid(self) -> int:
        """Its user number."""

    @property
    def gid(self) -> int:
        """Its group number."""

    @property
    def groups(self) -> Sequence[int]:
        """Every group it is in."""

    @property
    def home(self) -> Path:
        """Its home directory, where PulseAudio keeps its cookie."""


class SoundServer(Protocol):
    """A sound server to record from; `streamserver.desktop.sound` has one."""

    @property
    def server(self) -> str:
        """What PULSE_SERVER would say, such as `unix:/run/catnap/pulse`."""

    @property
    def source(self) -> str:
        """The source to record, such as `audio_output.monitor`."""

    @property
    def owner(self) -> Account | None:
        """The account it runs as and that may record; None: ours."""


def _as_user(account: Account) -> tuple[str, ...]:
    """Return the prefix that runs a program as somebody else.

    `Popen(user=...)` would do, too, but then Python copies this process (fork) where it otherwise lends it
    (vfork): 5 to 8 ms in which nobody gets a packet, when the first listener comes.
    """
    groups = ",".join(map(str, account.groups))
    chosen = f"--groups={groups}" if groups else "--clear-groups"
    return ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", chosen, "--")


class PulseSource:
    """A running recorder. Used by one thread; raises `SoundLostError` when it cannot start or ends."""

    def __init__(self, sound: SoundServer, source: str) -> None:
        self._source = source
        self._pending = bytearray()
        owner = sound.owner
        other = owner if owner is not None and owner.uid != os.geteuid() else None
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(owner.home) if owner is not None else os.environ.get("HOME", "/"),
            "PULSE_SERVER": sound.server,
            "LC_ALL": "C.UTF-8",
        }
        try:
            self._process = subprocess.Popen(
                [
                    *(_as_user(other) if other else ()),
                    RECORDER,
                    f"--device={source}",
                    "--format=s16le",
                    "--rate=48000",
                    f"--channels={CHANNELS}",
                    f"--latency-msec={LATENCY_MS}",
                    "--raw",
                    "--client-name=catnap",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise SoundLostError(
                f"{RECORDER} cannot be started ({error}): apt-get install pulseaudio-utils util-linux"
            ) from error
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is sound."""
        return self._output

    def read(self) -> list[bytes]:
        """Return the whole chunks of `CHUNK_BYTES` that have come, without waiting."""
        try:
            data = os.read(self._output, 64 * CHUNK_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise SoundLostError(f"recording {self._source} ended: {self._last_words()}")
        pending = self._pending
        pending += data
        whole = len(pending) - len(pending) % CHUNK_BYTES
        chunks = [bytes(pending[at : at + CHUNK_BYTES]) for at in range(0, whole, CHUNK_BYTES)]
        del pending[:whole]
        return chunks

    def close(self) -> None:
        """End the recorder and reap it. Safe to call again."""
        process = self._process
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def _last_words(self) -> str:
        """What it said on its standard error, at the end of its output."""
        assert self._process.stderr is not None
        descriptor = self._process.stderr.fileno()
        os.set_blocking(descriptor, False)
        try:
            said = os.read(descriptor, 4096).decode(errors="replace").strip()
        except BlockingIOError:
            said = ""
        return said or f"{RECORDER} said nothing; is the sound server running?"
