"""The crash marker: what an earlier run of this boot may have left in the counter.

It stands around the two writes:  intent, `+`, held … releasing, `-`, removed.
Only `held` says for sure that one `+` of ours is in the counter; in the other two phases nobody can know
whether the write happened, so the counter is left alone: too high keeps the machine awake, too low would
let it sleep under somebody else's work.
"""

import enum
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from plugins.scaletozero.commands import Command, GateError, WriteResult
from streamserver.logs import get_logger

log = get_logger("scaletozero")

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
MARKER = "scaletozero.marker"
LOCK = "scaletozero.lock"


class Phase(enum.StrEnum):
    """Where between the two writes a run is."""

    INTENT = "intent"
    HELD = "held"
    RELEASING = "releasing"


class Legacy(enum.Enum):
    """What an earlier run left behind."""

    NOTHING = enum.auto()
    """No marker, or one of another boot or another control file."""
    OURS = enum.auto()
    """One `+` that is surely in the counter: to be taken back."""
    UNKNOWN = enum.auto()
    """It died around a write, or the marker cannot be read: leave the counter."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What to do about what was left behind, and a sentence for the log."""

    legacy: Legacy
    reason: str = ""


class MarkerInUseError(GateError):
    """Another running server keeps its marker in the same directory."""


class Marker(Protocol):
    """Told of every write before and after it."""

    def before(self, command: Command) -> None:
        """Note that the command is about to be written. Never raises."""

    def after(self, command: Command, result: WriteResult) -> None:
        """Note how it ended. Never raises."""


class NoMarker:
    """Remembers nothing: a crash leaves the counter raised."""

    def before(self, command: Command) -> None:
        """Do nothing."""

    def after(self, command: Command, result: WriteResult) -> None:
        """Do nothing."""


def read_boot_id() -> str:
    """Return what the kernel calls this boot; empty if it does not say (then no marker is ever trusted)."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


def decide_recovery(text: str | None, boot_id: str, control_file: Path) -> Recovery:
    """Say what a marker's text (none: there was no marker) means for this start. Pure."""
    if text is None:
        return Recovery(Legacy.NOTHING)
    try:
        fields = json.loads(text)
        boot, phase, path = fields["boot_id"], Phase(fields["phase"]), fields["control_file"]
    except (ValueError, KeyError, TypeError):
        return Recovery(Legacy.UNKNOWN, "the marker of an earlier run cannot be read")
    if not boot_id or boot != boot_id:
        return Recovery(Legacy.NOTHING, "the marker is from another boot; the counter began anew")
    if path != str(control_file):
        return Recovery(Legacy.UNKNOWN, f"an earlier run used the control file {path} ({phase})")
    if phase is Phase.HELD:
        return Recovery(Legacy.OURS, "an earlier run ended without taking its '+' back; it is ours now")
    command = Command.RAISE if phase is Phase.INTENT else Command.LOWER
    return Recovery(Legacy.UNKNOWN, f"an earlier run died while it wrote {command.value!r}")


class FileMarker:
    """The marker as a file; failures to write it are logged and never keep the gate from working."""

    def __init__(self, directory: Path, control_file: Path, boot_id: str) -> None:
        """Say where it lives (`scaletozero.marker` in `directory`) and what it is about."""
        self.path = directory / MARKER
        self._lock_path = directory / LOCK
        self._control_file = control_file
        self._boot_id = boot_id
        self._lock: int | None = None
        self._broken = False

    def claim(self) -> None:
        """Make the directory ours until `release` or the end of the process.

        Raises:
            MarkerInUseError: another server that runs has it.
            OSError: the directory cannot be made or written.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise MarkerInUseError(
                f"another running server uses {self.path.parent}; give each its own server.run_dir"
            ) from None
        self._lock = descriptor

    def release(self) -> None:
        """Let the next run have the directory; the marker stays as it is."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def recover(self) -> Recovery:
        """Look at what an earlier run left. What is not `OURS` is removed: it cannot be taken back."""
        try:
            text: str | None = self.path.read_text()
        except FileNotFoundError:
            text = None
        except (OSError, UnicodeDecodeError):
            text = ""
        recovery = decide_recovery(text, self._boot_id, self._control_file)
        if text is not None and recovery.legacy is not Legacy.OURS:
            self._remove()
        return recovery

    def before(self, command: Command) -> None:
        """Write `intent` or `releasing`."""
        self._write(Phase.INTENT if command is Command.RAISE else Phase.RELEASING)

    def after(self, command: Command, result: WriteResult) -> None:
        """Write `held` if our `+` is in the counter now, else remove the marker."""
        if command is Command.RAISE:
            held = result is WriteResult.WRITTEN
        else:
            held = result not in (WriteResult.WRITTEN, WriteResult.REFUSED)
        if held:
            self._write(Phase.HELD)
        else:
            self._remove()

    def _write(self, phase: Phase) -> None:
        fields = {
            "boot_id": self._boot_id,
            "phase": phase.value,
            "control_file": str(self._control_file),
            "pid": os.getpid(),
        }
        temporary = self.path.with_suffix(".new")
        try:
            with temporary.open("w") as file:
                json.dump(fields, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            self._sync_directory()
        except OSError as error:
            self._complain(error)
            self._remove()  # an old phase would be a lie; none at all leaves the counter raised at worst
            return
        self._broken = False

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
            self._sync_directory()
        except OSError as error:
            self._complain(error)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _complain(self, error: OSError) -> None:
        if not self._broken:
            log.warning(
                "crash marker cannot be written; after a crash the counter may stay raised",
                path=str(self.path),
                errno=error.errno,
                error=error.strerror,
            )
        self._broken = True
