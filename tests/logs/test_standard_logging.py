import logging
import warnings

from streamserver.logs import TRACE
from tests.logs.conftest import Logging


def test_lines_of_libraries_have_our_format_and_their_name(logging_to: Logging) -> None:
    output = logging_to()
    logging.getLogger("uvicorn.error").warning("cannot %s\n?token=hunter2", "bind")
    assert output.getvalue().endswith(" WRN cannot bind\\n?token=*** module=uvicorn\n")


def test_libraries_are_quiet_unless_named(logging_to: Logging) -> None:
    output = logging_to(level="debug", levels={"aioice": "info", "aiortc": "trace"})
    logging.getLogger("uvicorn").info("not this")
    logging.getLogger("aioice.ice").info("this")
    logging.getLogger("aioice.ice").debug("not this")
    logging.getLogger("aiortc").log(TRACE, "this too")
    assert [line.split(" ", 1)[1] for line in output.getvalue().splitlines()] == [
        "INF this module=aioice",
        "TRC this too module=aiortc",
    ]


def test_a_higher_level_is_for_libraries_too(logging_to: Logging) -> None:
    output = logging_to(level="error")
    logging.getLogger("asyncio").warning("slow callback")
    logging.getLogger("asyncio").error("lost task")
    assert output.getvalue().endswith("ERR lost task module=asyncio\n")
    assert "slow" not in output.getvalue()


def test_disabled_is_for_libraries_too(logging_to: Logging) -> None:
    output = logging_to(level="disabled")
    logging.getLogger("uvicorn").critical("x")
    assert output.getvalue() == ""


def test_setting_up_again_does_not_double_lines(logging_to: Logging) -> None:
    logging_to()
    output = logging_to()
    logging.getLogger("uvicorn").error("once")
    assert output.getvalue().count("once") == 1


def test_handlers_that_a_library_brought_are_replaced(logging_to: Logging) -> None:
    logger = logging.getLogger("uvicorn.access")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    output = logging_to()
    logger.error("heard")
    assert "heard module=uvicorn" in output.getvalue()


def test_an_exception_of_a_library_is_one_field(logging_to: Logging) -> None:
    output = logging_to()
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("asyncio").exception("task died")
    assert 'error="OSError: gone (test_standard_logging.py:' in output.getvalue()
    assert len(output.getvalue().splitlines()) == 1


def test_a_line_with_a_wrong_format_is_still_logged(logging_to: Logging) -> None:
    output = logging_to()
    logging.getLogger("careless").error("%d items", "three")
    assert "%d items module=careless" in output.getvalue()


def test_warnings_of_python_are_logged(logging_to: Logging) -> None:
    output = logging_to()
    warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert "old way" in output.getvalue()
    assert "module=py" in output.getvalue()
