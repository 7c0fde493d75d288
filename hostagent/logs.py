"""The agent's log: structlog, a readable line or a JSON object; libraries' records come through it too."""

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from hostagent.runtimes.process.output_log import MAX_BYTES, bound
from hostagent.settings import LogSettings

LOG_NAME: Final = "agent.log"
"""The log, in the data directory, of an agent that `catnap host run` started in the background."""


class Output:
    """A stream for log lines: what cannot be written (the disk is full) is lost, and the work goes on.

    A log file of the agent's own stays below twice `MAX_BYTES`, its older half in a file named `.1`.
    """

    def __init__(self, stream: TextIO, own_file: Path | None, limit: int = MAX_BYTES) -> None:
        self._stream = stream
        self._own_file = own_file
        self._limit = limit
        self._room = 0
        """Characters until the file's size is looked at."""

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        self._room -= len(text)
        if self._room < 0 and self._own_file is not None:
            self._room = self._limit // 64
            with contextlib.suppress(OSError):
                bound(self._own_file, self._limit)
        return len(text)

    def flush(self) -> None:
        """Have it written, or lose it."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Tell whether a person sees it."""
        return self._stream.isatty()


def own_log(data_dir: Path, stream: TextIO) -> Path | None:
    """Return the log in `data_dir` if that is where the stream goes, so that nobody else keeps it short."""
    path = data_dir / LOG_NAME
    try:
        return path if os.path.samestat(os.fstat(stream.fileno()), path.stat()) else None
    except (OSError, ValueError):
        return None


def get_logger(module: str) -> FilteringBoundLogger:
    """Return the logger of a part of the agent, such as `lifecycle`."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=module))


def setup_logging(settings: LogSettings, data_dir: Path) -> None:
    """Make every logger of the process follow the settings; lines go to standard output."""
    output = Output(sys.stdout, own_log(data_dir, sys.stdout))
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
    ]
    render: Processor
    if settings.json_lines:
        shared.append(structlog.processors.EventRenamer("message"))
        render = structlog.processors.JSONRenderer(default=str)
    else:
        render = structlog.dev.ConsoleRenderer(colors=output.isatty(), timestamp_key="time")
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=cast("TextIO", output)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(cast("TextIO", output))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
