"""What the log says about writes to the control file: changes, not routine."""

from pathlib import Path

from plugins.scaletozero.commands import Command, WriteResult
from plugins.scaletozero.gate_controller import WriteReport
from streamserver.logs import get_logger

log = get_logger("scaletozero")


class WriteLog:
    """Logs failures, recovery and absence; for one writer thread."""

    def __init__(self, control_file: Path) -> None:
        self._path = str(control_file)
        self._failing = False
        self._absent = False

    def note(self, report: WriteReport) -> None:
        """Log one write, if it says something new."""
        result = report.outcome.result
        raised = report.command is Command.RAISE
        if result is WriteResult.FAILED or (result is WriteResult.ABSENT and not raised):
            self._failing = True
            log.warning(
                "cannot write the control file",
                path=self._path,
                command=report.command.value,
                error=report.outcome.error,
                attempt=report.after.failures,
                retry_in=report.after.retry_in,
            )
            return
        if self._failing:
            self._failing = False
            log.info("control file can be written again", path=self._path)
        if result is WriteResult.REFUSED:
            log.warning(
                "the counter was 0 already: somebody else has taken our '+' back",
                path=self._path,
                command="-",
            )
        if result is WriteResult.ABSENT and not self._absent:
            log.info("there is no control file: nothing is written, nothing is held awake", path=self._path)
        self._absent = result is WriteResult.ABSENT
