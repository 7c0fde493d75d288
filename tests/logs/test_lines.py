import io
import json
import re
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamserver import logs
from streamserver.logs import get_logger
from tests.logs.conftest import Logging

KITCHEN = r"(1[0-2]|[1-9]):[0-5]\d(AM|PM)"


def test_a_console_line(logging_to: Logging) -> None:
    output = logging_to()
    get_logger("scaletozero").info(
        "connection started, disabling scale-to-zero (pending: 1)", gate="held", n=2
    )
    time, _, rest = output.getvalue().partition(" ")
    assert re.fullmatch(KITCHEN, time)
    assert rest == (
        "INF connection started, disabling scale-to-zero (pending: 1) gate=held n=2 module=scaletozero\n"
    )


@pytest.mark.parametrize(
    ("hour", "minute", "text"),
    [
        (0, 12, "12:12AM"),
        (1, 5, "1:05AM"),
        (11, 59, "11:59AM"),
        (12, 0, "12:00PM"),
        (13, 30, "1:30PM"),
        (23, 0, "11:00PM"),
    ],
)
def test_times_are_those_of_a_kitchen_clock(hour: int, minute: int, text: str) -> None:
    moment = datetime(2030, 5, 6, hour, minute).astimezone()
    assert logs._kitchen(moment.timestamp()) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash space", '"back\\\\slash space"'),
        ("line\nbreak", '"line\\nbreak"'),
        ("", '""'),
        (True, "true"),
        (None, "null"),
        (0.1 + 0.2, "0.3"),
        ([1, "a"], '[1, "a"]'),
        ({"a": 1}, '{"a": 1}'),
        (3, "3"),
    ],
)
def test_how_values_are_written(logging_to: Logging, value: object, text: str) -> None:
    output = logging_to()
    get_logger("m").info("message", key=value)
    assert output.getvalue().endswith(f" INF message key={text} module=m\n")


def test_levels_have_short_names(logging_to: Logging) -> None:
    output = logging_to(level="trace")
    log = get_logger("m")
    for say in (log.debug, log.info, log.warning, log.error, log.critical):
        say("x")
    assert [line.split()[1] for line in output.getvalue().splitlines()] == ["DBG", "INF", "WRN", "ERR", "FTL"]


def test_a_json_line(logging_to: Logging) -> None:
    output = logging_to(json=True)
    get_logger("m").warning("careful\nnow", n=1, path=object, level_of="x")
    line = json.loads(output.getvalue())
    assert list(line)[:4] == ["level", "time", "message", "module"]
    assert (line["level"], line["message"], line["module"], line["n"]) == ("warn", "careful\nnow", "m", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert datetime.fromisoformat(line["time"]).tzinfo is not None


def test_a_field_with_a_name_of_ours_takes_nothing_away(logging_to: Logging) -> None:
    output = logging_to(json=True)
    get_logger("m").info("said", level="high", message="other", time=1, at_time=2)
    line = json.loads(output.getvalue())
    assert (line["level"], line["message"], line["level_"], line["message_"], line["time_"]) == (
        "info",
        "said",
        "high",
        "other",
        1,
    )
    output = logging_to()
    get_logger("m").info("said", level="high")
    assert output.getvalue().endswith(" INF said level_=high module=m\n")


def test_levels_of_modules(logging_to: Logging) -> None:
    output = logging_to(level="warn", levels={"webrtc": "debug", "noisy": "disabled"})
    for module in ("webrtc", "api", "noisy"):
        get_logger(module).debug("low")
        get_logger(module).critical("high")
    assert [line.split(" ", 1)[1] for line in output.getvalue().splitlines()] == [
        "DBG low module=webrtc",
        "FTL high module=webrtc",
        "FTL high module=api",
    ]


def test_a_logger_made_before_follows_the_settings(logging_to: Logging) -> None:
    log = get_logger("early")
    output = logging_to(level="error")
    log.info("no")
    log.bind(session="s").error("yes")
    assert output.getvalue().endswith("ERR yes session=s module=early\n")
    assert "no" not in output.getvalue()


def test_nothing_is_done_for_a_suppressed_level(logging_to: Logging) -> None:
    class Costly:
        def __str__(self) -> str:
            raise AssertionError("was made into text")

        __repr__ = __str__

    output = logging_to(level="info")
    get_logger("m").debug("quiet %s", Costly(), value=Costly())
    assert output.getvalue() == ""


def test_an_exception_is_one_field(logging_to: Logging) -> None:
    output = logging_to()
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        get_logger("m").exception("it failed")
    assert re.fullmatch(
        KITCHEN + r' ERR it failed error="ValueError: bad\\nthing \(test_lines.py:\d+\)" module=m\n',
        output.getvalue(),
    )


def test_a_traceback_follows_when_debugging(logging_to: Logging) -> None:
    for how in ({"level": "debug"}, {"levels": {"m": "debug"}}):
        output = logging_to(**how)
        try:
            raise ValueError("bad")
        except ValueError as error:
            get_logger("m").error("it failed", exc_info=error)
        first, *rest = output.getvalue().splitlines()
        assert first.endswith("module=m")
        assert rest[0] == "    Traceback (most recent call last):"
        assert all(line.startswith("    ") for line in rest)


def test_a_traceback_in_json_is_a_field(logging_to: Logging) -> None:
    output = logging_to(json=True, level="debug")
    try:
        raise ValueError("bad")
    except ValueError:
        get_logger("m").exception("it failed")
    line = json.loads(output.getvalue())
    assert "Traceback" in line["stack"]
    assert line["error"].startswith("ValueError: bad")


def test_a_secret_in_an_exception_is_masked(logging_to: Logging) -> None:
    for json_lines in (False, True):
        output = logging_to(level="debug", json=json_lines)
        try:
            raise ValueError("/api/ws?token=hunter2")
        except ValueError:
            get_logger("m").exception("failed at ?token=hunter2", url="?token=hunter2", token="hunter2")
        written = output.getvalue()
        # the source line in the traceback is our own literal; the values are masked there too
        assert "hunter2" not in written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.text(), st.text(min_size=1).filter(lambda name: name not in ("event", "module", "self")), st.text())
def test_whatever_is_logged_is_one_printable_line(
    logging_to: Logging, message: str, name: str, value: str
) -> None:
    for json_lines in (False, True):
        output = logging_to(json=json_lines)
        get_logger("m").info(message, **{name: value})
        text = output.getvalue()
        assert text.endswith("\n")
        assert text[:-1].isprintable()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_only(logging_to: Logging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)

    def line(stream: io.StringIO, **settings: object) -> str:
        logging_to(stream, **settings)
        get_logger("m").info("x", key="v")
        return stream.getvalue()

    assert "\x1b[32mINF\x1b[0m x" in line(_Terminal())
    assert "\x1b" not in line(io.StringIO())
    assert "\x1b" not in line(_Terminal(), nocolor=True)
    assert "\x1b" not in line(_Terminal(), json=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in line(_Terminal())


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_broken_pipe_does_not_reach_who_logs(logging_to: Logging) -> None:
    logging_to(_Broken())
    get_logger("m").error("nobody hears this")


def test_text_that_the_terminal_cannot_show_is_escaped(logging_to: Logging) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    logging_to(stream)
    get_logger("m").info("grün 猫")
    assert rb"gr\xfcn \u732b" in raw.getvalue()
