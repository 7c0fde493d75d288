"""uvicorn's HTTP protocol with a deadline that it lacks: a connection that asks nothing is closed."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_TIMEOUT = 10.0
"""Seconds from connecting to the end of the first request's head; later ones from their first byte."""


class BoundedHttp(H11Protocol):
    """A connection that may not wait for ever, nor drip; between requests uvicorn's own timer counts."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to wait for the head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take input; the deadline ends when a request begins to be served."""
        served: Any = self.cycle
        super().data_received(data)
        if self.cycle is not served:
            self._stop_waiting()
        elif self._head_timer is None and (served is None or served.response_complete):
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the timer with the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
