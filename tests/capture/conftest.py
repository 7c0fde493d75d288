from collections.abc import Iterator

import pytest

from tests.capture.x_screen import XScreen, x_screen


@pytest.fixture
def screen() -> Iterator[XScreen]:
    with x_screen() as one:
        yield one
