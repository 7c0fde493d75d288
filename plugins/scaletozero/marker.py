"""The crash marker: what an earlier run of this boot may have left in the counter.

It stands around the two writes:  intent, `+`, held … releasing, `-`, released.
Only `held` says for sure that one `+` of ours is in the counter; while a write is under way nobody can know
whether it happened, so the counter is left alone: too high keeps the machine awake, too low would let it
sleep under somebody else's work.

It has to outlive this process, not the kernel: after a crash of the machine the boot is another one, and the
marker means nothing. So it is never flushed to the disk, and a phase is one pwrite() of one short record,
which a SIGKILL cannot cut in two.
"""

import enum
import errno
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
    RELEASED = "released"


class Legacy(enum.Enum):
    """What an earlier run left behind."""

    NOTHING = enum.auto()
    """No marker, one that says so, or one of another boot."""
    OURS = enum.auto()
    """One `+` that is surely in the counter: to be taken back."""
    UNKNOWN = enum.auto()
    """It died around a write, used another control file, or the marker cannot be read: leave the counter."""


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
    if phase is Phase.RELEASED:
        return Recovery(Legacy.NOTHING)
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
        self._records = _records(boot_id, control_file)
        self._phase: Phase | None = None
        self._lock: int | None = None
        self._file: int | None = None
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
        """Let the next run have the directory; a marker that says that something is in the counter stays."""
        self._close()
        if self._phase is Phase.RELEASED:
            self._remove()
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
        if self._file is not None and not os.fstat(self._file).st_nlink:
            self._close()  # somebody has removed it
        self._write(Phase.INTENT if command is Command.RAISE else Phase.RELEASING)

    def after(self, command: Command, result: WriteResult) -> None:
        """Write whether our `+` is in the counter now: `held` or `released`."""
        if command is Command.RAISE:
            held = result is WriteResult.WRITTEN
        else:
            held = result not in (WriteResult.WRITTEN, WriteResult.REFUSED)
        self._write(Phase.HELD if held else Phase.RELEASED)

    def _write(self, phase: Phase) -> None:
        self._phase = phase
        record = self._records[phase]
        try:
            written = os.pwrite(self._opened(), record, 0)
            if written != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._complain(error)
            self._close()
            self._remove()  # an old phase would be a lie; none at all leaves the counter raised at worst
            return
        self._broken = False

    def _opened(self) -> int:
        """Return the open marker, as long as its records: they cover each other."""
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._file, len(self._records[Phase.HELD]))
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._broken:
            log.warning(
                "crash marker cannot be written; after a crash the counter may stay raised",
                path=str(self.path),
                errno=error.errno,
                error=error.strerror,
            )
        self._broken = True


def _records(boot_id: str, control_file: Path) -> dict[Phase, bytes]:
    """Return what is in the file in each phase: JSON, all of one length, so that one covers another."""
    about = {"boot_id": boot_id, "control_file": str(control_file), "pid": os.getpid()}
    texts = {phase: json.dumps({"phase": phase.value} | about) for phase in Phase}
    width = max(map(len, texts.values()))
    return {phase: f"{text:<{width}}\n".encode() for phase, text in texts.items()}
