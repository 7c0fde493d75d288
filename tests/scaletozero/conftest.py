"""What the gate says, as data."""

from collections.abc import Iterator

import pytest
import structlog
from structlog.typing import EventDict


class Said:
    """Every log line, in order."""

    def __init__(self) -> None:
        self.all: list[EventDict] = []

    def lines(self) -> list[str]:
        """Return what an operator reads of the gate at level info."""
        return [
            f"{line['event']} gate={line['gate']}" if "gate" in line else line["event"]
            for line in self.all
            if line["module"] == "scaletozero" and line["level"] == "info"
        ]

    def of(self, event: str) -> list[EventDict]:
        """Return the lines whose event contains that."""
        return [line for line in self.all if event in line["event"]]


@pytest.fixture(autouse=True)
def said() -> Iterator[Said]:
    said = Said()

    def record(logger: object, method: str, event: EventDict) -> EventDict:
        said.all.append({**event, "level": method})
        raise structlog.DropEvent

    structlog.configure(processors=[record])
    yield said
    structlog.reset_defaults()
