"""Logging: structlog for us, the standard library's loggers routed in, one format for all.

Console lines are neko's: `12:12AM INF message key=value module=webrtc`. With `log.json` each line is a
JSON object. Every line passes the redaction of `streamserver.redaction`, libraries' lines too.
"""

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from streamserver.redaction import escape_control, redact_field, redact_text, safe_text

if TYPE_CHECKING:
    from streamserver.config.settings import LogSettings

TRACE = 5
_DISABLED = 100
_LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "disabled": _DISABLED,
}
_NAMES = (
    (TRACE, "trace"),
    (logging.DEBUG, "debug"),
    (logging.INFO, "info"),
    (logging.WARNING, "warn"),
    (logging.ERROR, "error"),
)
_SHORT = {"trace": "TRC", "debug": "DBG", "info": "INF", "warn": "WRN", "error": "ERR", "fatal": "FTL"}
_COLOURS = {"trace": "36", "debug": "33", "info": "32", "warn": "31", "error": "1;31", "fatal": "1;31"}
_OUR_LEVEL = {"warning": "warn", "critical": "fatal", "exception": "error", "notset": "trace"}
_RESERVED = frozenset({"event", "level", "module", "at_time"})
LIBRARY_FLOOR = logging.WARNING
"""Libraries log from this level on, unless `log.levels` names them: at debug they write a line per packet."""


def get_logger(module: str) -> FilteringBoundLogger:
    """Return the logger of a module such as `webrtc`; it follows `setup_logging`, now or later."""
    return cast("FilteringBoundLogger", structlog.get_logger(module=module))


def setup_logging(settings: "LogSettings", stream: TextIO | None = None) -> None:
    """Make every logger of the process follow the settings; lines go to `stream` (stdout)."""
    output = _Output(stream or sys.stdout)
    level = _LEVELS[settings.level]
    modules = {module: _LEVELS[name] for module, name in settings.levels.items()}
    coloured = not settings.nocolor and not os.environ.get("NO_COLOR") and output.is_terminal
    verbose = level <= logging.DEBUG
    render = _render_json if settings.json_lines else _ConsoleRenderer(coloured)
    processors = [_stamp, _ExceptionField(verbose, modules), _redact, render]

    def bound(logger: WrappedLogger, processors: Iterable[object], context: Mapping[str, object]) -> object:
        threshold = modules.get(str(context.get("module", "")), level)
        return _filtering_class(threshold)(logger, processors=processors, context=context)  # type: ignore[call-arg]

    structlog.configure(
        processors=processors,  # type: ignore[arg-type]
        wrapper_class=bound,  # type: ignore[arg-type]
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(level, modules)


def _filtering_class(threshold: int) -> type[FilteringBoundLogger]:
    """Return structlog's class whose methods below the threshold do nothing at all."""
    if threshold >= _DISABLED:
        return _Silent
    return structlog.make_filtering_bound_logger(max(0, threshold - threshold % 10))


class _Silent(structlog.make_filtering_bound_logger(logging.CRITICAL)):  # type: ignore[misc]
    """The logger of a disabled module."""

    def critical(self, event: str, *args: object, **fields: object) -> None:
        """Do nothing."""

    fatal = critical


class _Output:
    """Writes lines to a stream; never raises, since a full disk or a closed pipe must not stop the server."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def msg(self, line: str) -> None:
        """Write one line."""
        try:
            try:
                self._stream.write(line + "\n")
            except UnicodeEncodeError:
                self._stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = fatal = exception = log = msg


def _stamp(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if "level" in event:  # a field somebody gave that name
        event["level_"] = event.pop("level")
    event["level"] = _OUR_LEVEL.get(method, method)
    event["at_time"] = time.time()
    return event


class _ExceptionField:
    """Turns `exc_info` into one field `error`, or, when debugging, into a whole traceback as well."""

    def __init__(self, verbose: bool, modules: Mapping[str, int]) -> None:
        self._verbose = verbose
        self._modules = modules

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        raised = event.pop("exc_info", None)
        if raised is True:
            raised = sys.exc_info()
        error = raised[1] if isinstance(raised, tuple) else raised
        if not isinstance(error, BaseException):
            return event
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""  # noqa: PTH119
        event.setdefault("error", f"{type(error).__name__}: {safe_text(error)}{where}")
        module = str(event.get("module", ""))
        if self._modules.get(module, logging.DEBUG if self._verbose else logging.INFO) <= logging.DEBUG:
            event["stack"] = "".join(traceback.format_exception(error)).rstrip()
        return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets in the message and in every field."""
    clean: MutableMapping[str, object] = {}
    for name, value in event.items():
        clean[name] = redact_text(safe_text(value)) if name == "event" else redact_field(name, value)
    return clean


def _kitchen(at_time: float) -> str:
    moment = datetime.fromtimestamp(at_time, UTC).astimezone()
    return f"{moment.hour % 12 or 12}:{moment.minute:02}{'AM' if moment.hour < 12 else 'PM'}"


def _plain(value: object) -> str:
    """Return a value as it stands after `key=`: quoted where a reader could mistake it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict | list):
        text = json.dumps(value, default=str, ensure_ascii=False)
        return escape_control(text)
    text = str(value)
    if not text or any(c in ' "=' or not c.isprintable() for c in text):
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escape_control(quoted)}"'
    return text


class _ConsoleRenderer:
    """Renders `3:04PM INF message key=value module=…`."""

    def __init__(self, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        level = str(event["level"])
        stack = event.pop("stack", None)
        fields = [(name, value) for name, value in event.items() if name not in _RESERVED]
        if "module" in event:
            fields.append(("module", event["module"]))
        parts = [
            self._paint("90", _kitchen(event["at_time"])),
            self._paint(_COLOURS[level], _SHORT[level]),
            escape_control(str(event.get("event", ""))),
            *(f"{self._paint('36', escape_control(name) + '=')}{_plain(value)}" for name, value in fields),
        ]
        line = " ".join(parts)
        if stack:
            line += "".join(f"\n    {escape_control(row)}" for row in str(stack).splitlines())
        return line

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Render one JSON object: level, time (RFC 3339), message, module, then the fields."""
    moment = datetime.fromtimestamp(event["at_time"], UTC)
    line: dict[str, object] = {
        "level": event["level"],
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "message": str(event.get("event", "")),
        "module": event.get("module", ""),
    }
    for name, value in event.items():
        if name not in _RESERVED:
            line[f"{name}_" if name in line else name] = value
    return json.dumps(line, default=str)


class _Bridge(logging.Handler):
    """Hands the records of standard loggers to our processors; the module is the library's name."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record as one of ours."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 (a library's bad format string is no reason to fail)
            message = str(record.msg)
        event: EventDict = {"event": message, "module": record.name.partition(".")[0]}
        level = next((name for level, name in _NAMES if record.levelno <= level), "fatal")
        if record.exc_info:
            event["exc_info"] = record.exc_info
        config = structlog.get_config()
        line: object = event
        try:
            for process in config["processors"]:
                line = process(None, level, line)
            config["logger_factory"]().msg(line)
        except Exception:  # noqa: BLE001 (what a library logs must not fail in the library)
            self.handleError(record)


def _route_standard_logging(level: int, modules: Mapping[str, int]) -> None:
    logging.captureWarnings(True)
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _Bridge):
            root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(max(level, LIBRARY_FLOOR))
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if name.startswith(("uvicorn", "aiortc", "aioice", "asyncio", "py.warnings")):
            logger.handlers.clear()
            logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for module, threshold in modules.items():
        logging.getLogger(module).setLevel(threshold)
