"""The control file: each write is one command to a counter that belongs to nobody.

On the real file truncation does nothing and the offset does not matter; on a plain file (tests, local runs)
it leaves the last command as the content.
"""

import errno
import os
from pathlib import Path

from plugins.scaletozero.commands import Command, ControlFileError, WriteResult
from streamserver.logs import get_logger

log = get_logger("scaletozero")


class ControlFile:
    """Writes commands to the file at one path. May block as long as the file does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, command: Command) -> WriteResult:
        """Write one command; an absent file is not created.

        Returns:
            `WRITTEN`, `ABSENT`, or `REFUSED` for a `-` at a counter of 0.

        Raises:
            ControlFileError: anything else; nothing was written.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY)
        except FileNotFoundError:
            return WriteResult.ABSENT
        except OSError as error:
            raise self._failure("open", command, error) from error
        try:
            written = os.write(descriptor, command.value.encode())
        except OSError as error:
            if command is Command.LOWER and error.errno == errno.ERANGE:
                return WriteResult.REFUSED
            raise self._failure("write", command, error) from error
        finally:
            self._close(descriptor)
        if written != len(command.value):
            raise ControlFileError(
                f"{self.path} took {written} of {len(command.value)} bytes of {command.value!r}"
            )
        return WriteResult.WRITTEN

    def _failure(self, doing: str, command: Command, error: OSError) -> ControlFileError:
        name = errno.errorcode.get(error.errno or 0, "?")
        return ControlFileError(
            f"cannot {doing} {self.path} for {command.value!r}: {error.strerror} (errno {error.errno} {name})"
        )

    def _close(self, descriptor: int) -> None:
        try:
            os.close(descriptor)
        except OSError as error:  # the command was taken by write(); only a file system that lies fails here
            log.warning("control file did not close", path=str(self.path), errno=error.errno)
