"""The image is built once for all tests of this folder, where the machine can build it."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.own_network import machine_network

from .builder import BuiltImage, why_not

SIZE = "size of the image"


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Iterator[BuiltImage]:
    """Build the image, or skip and say why this machine cannot."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        with machine_network(request.config):
            built = stack.enter_context(BuiltImage())
        yield built


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how large the image is, as the test that used it recorded, in this process or a worker."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == SIZE:
                terminalreporter.write_line(f"{SIZE}: {value}")
