"""The agent's log: structlog, a readable line or a JSON object; libraries' records come through it too."""

import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from hostagent.settings import LogSettings


def get_logger(module: str) -> FilteringBoundLogger:
    """Return the logger of a part of the agent, such as `lifecycle`."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=module))


def setup_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Make every logger of the process follow the settings; lines go to `stream` (standard output)."""
    output = stream or sys.stdout
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
        logger_factory=structlog.PrintLoggerFactory(file=output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
