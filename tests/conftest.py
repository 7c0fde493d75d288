"""Every run, and with several at once every worker, has a network of its own.

Interfaces and rules that tests make touch nothing of the machine, and ports taken by others do not matter.
A browser that one test drives does not see another's cables come and go: it gives up what it loads when the
network changes.
"""

import hypothesis
import pytest

from tests.own_network import leave_the_machines


def pytest_configure(config: pytest.Config) -> None:
    """Settle how all tests run, and leave the machine's network.

    The process that only hands tests to its workers need not.
    """
    hypothesis.settings.register_profile("suite", deadline=None)  # others run beside it: time says nothing
    hypothesis.settings.load_profile("suite")
    if not config.getoption("numprocesses", None):
        leave_the_machines(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: the last one of several workers should not be left with one of them."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
