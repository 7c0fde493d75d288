"""The image is built once for all tests of this folder, where the machine can build it."""

from collections.abc import Iterator

import pytest

from .builder import BuiltImage, why_not

SIZE = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> Iterator[BuiltImage]:
    """Build the image, or skip and say why this machine cannot."""
    if reason := why_not():
        pytest.skip(reason)
    with BuiltImage() as built:
        request.config.stash[SIZE] = built.size
        yield built


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how large the image is."""
    if size := config.stash.get(SIZE, None):
        terminalreporter.write_line(f"size of the image: {size}")
