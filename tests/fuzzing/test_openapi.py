"""Requests made up from the served OpenAPI document, good and bad: none is answered with 5xx.

The server is real but for desktop, media and broadcast; what it is asked comes from schemathesis.
"""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok

from tests.api.running import API_TOKEN, Running, running

EXAMPLES = 5
"""Requests for each operation: all of them within half a minute."""

SETTINGS: dict[str, dict[str, object]] = {
    "server": {"request_timeout": 5.0},
    "session": {"login_delay": 0.0},
    "capture": {"screencast": {"enabled": True}},
    "desktop": {"file_chooser_dialog": True},
    "member": {"provider": "object"},
}


class InThread:
    """A server on an event loop of its own."""

    def __init__(self) -> None:
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(20), "the server did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()

    async def _run(self) -> None:
        async with running(SETTINGS) as server:
            self._prepare(server)
            self.url = server.url
            self._ready.set()
            await self._stop.wait()

    @staticmethod
    def _prepare(server: Running) -> None:
        """Let the API's token have control, so that requests get further than the guards."""
        program = server.sessions.by_token(API_TOKEN)
        assert program is not None
        server.sessions.set_controller(program, program)
        server.desktop.file_chooser.open()


@pytest.fixture(scope="module")
def server() -> Iterator[InThread]:
    running_server = InThread()
    running_server.start()
    yield running_server
    running_server.stop()


def test_no_request_makes_the_server_fail(server: InThread) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    failures: list[str] = []
    operations = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        operations += 1

        @given(operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        def ask(case: schemathesis.Case[Any]) -> None:
            response = case.call(headers={"authorization": f"Bearer {API_TOKEN}"}, timeout=10)
            if response.status_code >= 500:
                failures.append(f"{case.method} {case.path}: {response.status_code} {response.text[:300]}")

        ask()
    assert operations > 50
    assert not failures
