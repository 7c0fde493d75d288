"""The sound server: PulseAudio with one sink that leads nowhere, whose monitor is what viewers hear."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from streamserver.desktop.account import Account
from streamserver.desktop.errors import DesktopError
from streamserver.desktop.process import ChildProcess, base_environment
from streamserver.desktop.supervisor import Supervisor, describe_exit
from streamserver.logs import get_logger

SINK = "audio_output"
MICROPHONE = "microphone"
"""The source that pages record."""
SAMPLE_RATE = 48_000
"""Hz: Opus' own rate, so that nothing is resampled twice."""
START_TIMEOUT = 10.0
"""Seconds PulseAudio gets until its socket is there."""
_POLL = 0.02

log = get_logger("desktop")


@dataclass(frozen=True)
class SoundServer:
    """Where the sound is.

    Attributes:
        server: what goes into PULSE_SERVER.
        source: the source to record to hear the browser.
        owner: who runs it; that user and root may connect.
        microphone: the source that pages record; empty: none.
    """

    server: str
    source: str
    owner: Account
    microphone: str = ""

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which a child process plays its sound there."""
        names = {"PULSE_SINK": SINK, **({"PULSE_SOURCE": self.microphone} if self.microphone else {})}
        return {"PULSE_SERVER": self.server, **names}


class SoundDaemon:
    """The PulseAudio process behind a `SoundServer`, started again when it ends."""

    def __init__(self, account: Account, directory: Path, microphone: str = "") -> None:
        """Take who runs it, where its socket goes, and the sink behind the browser's microphone, if any."""
        self._microphone = microphone
        self._account = account
        self._directory = directory
        self._socket = directory / "pulse.socket"
        self._supervisor = Supervisor("pulseaudio", self._start_once, on_end=self._ended)

    async def start(self) -> SoundServer | None:
        """Return the sound server, or None (with one warning) when this machine has none."""
        if shutil.which("pulseaudio") is None:
            log.warning("no sound: the program pulseaudio is missing (apt install pulseaudio)")
            return None
        try:
            await self._supervisor.start()
        except DesktopError as error:
            log.warning("no sound", error=str(error))
            return None
        microphone = MICROPHONE if self._microphone else ""
        return SoundServer(f"unix:{self._socket}", f"{SINK}.monitor", self._account, microphone)

    async def stop(self) -> None:
        """End it."""
        await self._supervisor.stop()

    async def _start_once(self) -> ChildProcess:
        with self._account.file_access():
            self._socket.unlink(missing_ok=True)
        state = str(self._directory / "pulse")
        environment = {
            **base_environment(self._account, self._directory),
            "PULSE_RUNTIME_PATH": state,
            "PULSE_STATE_PATH": state,
            "PULSE_CONFIG_PATH": state,
            "PULSE_COOKIE": str(self._directory / "pulse-cookie"),
        }
        child = await ChildProcess.start(
            "pulseaudio", self._command(), account=self._account, environment=environment,
            directory=self._directory,
        )  # fmt: skip
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT
        while not self._socket_exists():
            late = asyncio.get_running_loop().time() > deadline
            if child.returncode is not None or late:
                await child.stop()
                raise DesktopError("pulseaudio did not start; its output is in the log at level debug")
            await asyncio.sleep(_POLL)
        return child

    def _socket_exists(self) -> bool:
        return self._socket.exists()

    def _command(self) -> list[str]:
        # without rewinds the first sound comes in 0.04 s, with them in up to 2 s: nothing is played ahead
        null_sink = (
            f"module-null-sink sink_name={SINK} rate={SAMPLE_RATE} channels=2 norewinds=1 "
            f"sink_properties=device.description={SINK}"
        )
        # the directory lets only the owner and root in; root has no cookie to show
        protocol = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1 auth-cookie-enabled=0"
        return [
            "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
            "--disallow-exit=yes", "--disallow-module-loading=yes", "--realtime=no", "--high-priority=no",
            "--log-target=stderr", "--log-level=notice",
            f"--load={null_sink}", *self._microphone_modules(),
            "--load=module-suspend-on-idle timeout=5", f"--load={protocol}",
        ]  # fmt: skip

    def _microphone_modules(self) -> list[str]:
        if not self._microphone:
            return []
        sink = f"module-null-sink sink_name={self._microphone} rate={SAMPLE_RATE} channels=2 norewinds=1"
        source = f"module-remap-source master={self._microphone}.monitor source_name={MICROPHONE}"
        return [f"--load={sink}", f"--load={source} source_properties=device.description={MICROPHONE}"]

    def _ended(self, code: int | None, delay: float) -> None:
        if code is not None:
            log.error("pulseaudio ended; starting it again", seconds=delay, **describe_exit(code))
