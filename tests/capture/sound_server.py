"""A real sound server for the tests, and programs that play on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from streamserver.desktop.account import Account, lookup
from tests.waiting import wait_until

RATE = 48_000


@dataclass
class Sound:
    """PulseAudio with a null sink, as the desktop starts it; itself a `SoundServer` for capture."""

    directory: Path
    owner: Account
    source: str = "audio_output.monitor"
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def server(self) -> str:
        return f"unix:{self.directory}/socket"

    def start(self) -> None:
        self._run(
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--exit-idle-time=-1",
            "--load=module-null-sink sink_name=audio_output rate=48000 channels=2 norewinds=1",
            f"--load=module-native-protocol-unix socket={self.directory}/socket auth-anonymous=1",
        )
        wait_until((self.directory / "socket").exists, within=10, what="pulseaudio listens")

    def play(self, samples: np.ndarray[tuple[int, int], np.dtype[np.int16]]) -> None:
        """Play interleaved stereo once, in the background."""
        sound = self.directory / "sound.raw"
        sound.write_bytes(samples.tobytes())
        sound.chmod(0o644)
        self._run("pacat", "--playback", "--device=audio_output", "--rate=48000", "--raw", str(sound))

    def stop(self) -> None:
        for child in reversed(self._children):
            with suppress(ProcessLookupError):
                child.kill()
            child.wait()
        self._children.clear()

    def recorders(self) -> list[psutil.Process]:
        """The `parec` processes this test process has started."""
        return [child for child in psutil.Process().children() if child.name() == "parec"]

    def _run(self, *command: str) -> None:
        ourselves = self.owner.is_ourselves
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PULSE_SERVER": self.server,
            "PULSE_RUNTIME_PATH": str(self.directory),
        }
        self._children.append(
            subprocess.Popen(
                command,
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                user=None if ourselves else self.owner.uid,
                group=None if ourselves else self.owner.gid,
                extra_groups=None if ourselves else [],
            )
        )


def tone(hertz: float, seconds: float) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
    """A sine at half volume on both channels, shape samples x 2."""
    wave = np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE) * 16_000
    return np.repeat(wave.astype(np.int16)[:, None], 2, 1)


@contextmanager
def sound_server() -> Iterator[Sound]:
    owner = lookup("catnap" if os.geteuid() == 0 else None)
    directory = Path(tempfile.mkdtemp(prefix="capture-sound-"))
    directory.chmod(0o755)
    os.chown(directory, owner.uid, owner.gid)
    sound = Sound(directory, owner)
    try:
        sound.start()
        yield sound
    finally:
        sound.stop()
        shutil.rmtree(directory, ignore_errors=True)
