"""Signals: how a room tells others what happened without knowing them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, ParamSpec

from streamserver.logs import get_logger

P = ParamSpec("P")
log = get_logger("signals")


class Signal(Generic[P]):
    """Calls its listeners one after the other, in the order they subscribed.

    A listener that raises is logged and contained: the others still hear of the event.
    A listener may subscribe or unsubscribe while the signal is emitted; that counts from the next time on.

    >>> signal: Signal[int] = Signal("example")
    >>> unsubscribe = signal.subscribe(print)
    >>> signal.emit(7)
    7
    """

    def __init__(self, name: str) -> None:
        """`name` says which event this is, in the log line of a failing listener."""
        self.name = name
        self._listeners: list[Callable[P, object]] = []

    def subscribe(self, listener: Callable[P, object]) -> Callable[[], None]:
        """Call `listener` at each `emit` from now on; the returned function ends that (twice is fine)."""

        # one wrapper per subscription, so that a function subscribed twice is ended one by one
        def call(*args: P.args, **kwargs: P.kwargs) -> object:
            return listener(*args, **kwargs)

        self._listeners.append(call)

        def unsubscribe() -> None:
            if call in self._listeners:
                self._listeners.remove(call)

        return unsubscribe

    def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(*args, **kwargs)
            except Exception:
                log.exception("listener failed", signal=self.name)


class AsyncSignal(Generic[P]):
    """Awaits its listeners one after the other: each ends, fails or runs out of time before the next."""

    def __init__(self, name: str, deadline: float) -> None:
        """`deadline`: seconds that each listener gets; then it is cancelled and the next one is asked."""
        self.name = name
        self.deadline = deadline
        self._listeners: list[Callable[P, Awaitable[object]]] = []
        self._abandoned: set[asyncio.Task[object]] = set()

    def subscribe(self, listener: Callable[P, Awaitable[object]]) -> Callable[[], None]:
        """Await `listener` at each `emit` from now on; the returned function ends that (twice is fine)."""

        async def call(*args: P.args, **kwargs: P.kwargs) -> object:
            return await listener(*args, **kwargs)

        self._listeners.append(call)

        def unsubscribe() -> None:
            if call in self._listeners:
                self._listeners.remove(call)

        return unsubscribe

    async def emit(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Await every listener. Only cancellation of the caller gets out of here."""
        for listener in tuple(self._listeners):
            await self._await_one(asyncio.ensure_future(listener(*args, **kwargs)))

    async def _await_one(self, task: asyncio.Future[object]) -> None:
        try:
            done, _ = await asyncio.wait({task}, timeout=self.deadline)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            log.warning(
                "listener took too long and was left behind", signal=self.name, deadline=self.deadline
            )
            self._abandon(task)
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.error("listener failed", signal=self.name, exc_info=error)

    def _abandon(self, task: asyncio.Future[object]) -> None:
        """Cancel, and do not wait: a listener that ignores its cancellation must not hold anyone up."""
        task.cancel()
        if isinstance(task, asyncio.Task):
            self._abandoned.add(task)
            task.add_done_callback(self._bury)

    def _bury(self, task: asyncio.Task[object]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("listener failed", signal=self.name, exc_info=error)
