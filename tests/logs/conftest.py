import io
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from streamserver.config import LogSettings
from streamserver.logs import setup_logging

Logging = Callable[..., io.StringIO]


@pytest.fixture
def logging_to() -> Iterator[Logging]:
    """Set logging up with these settings, and return what is written; afterwards all is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()

    def set_up(stream: io.StringIO | None = None, **settings: object) -> io.StringIO:
        output = stream or io.StringIO()
        root.handlers.clear()  # pytest's, which fail on what we bear
        setup_logging(LogSettings.model_validate(settings), output)
        return output

    yield set_up
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.NOTSET)
