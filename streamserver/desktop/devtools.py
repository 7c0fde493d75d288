"""The browser's DevTools protocol over a pair of pipes: no port, so nobody else on the machine can use it."""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from streamserver.desktop.errors import DesktopError
from streamserver.logs import get_logger

CALL_TIMEOUT = 5.0
"""Seconds the browser has to answer."""
MAX_MESSAGE = 4 * 1024 * 1024
"""Bytes of the longest message we take; longer ones are skipped."""
MAX_UNSENT = 1024 * 1024
"""Bytes that may wait for a browser that does not read."""
FLAG = "--remote-debugging-pipe"
"""Makes Chromium read commands from descriptor 3 and write answers to 4, each ended by a zero byte."""

Json = dict[str, Any]
"""A message's parts, whose shape the protocol's documentation gives."""

log = get_logger("desktop")


class DevToolsError(DesktopError):
    """The browser refused a command, does not answer or is gone."""


class PipeEnds:
    """The four ends of two pipes: two for us, two for the browser."""

    def __init__(self) -> None:
        self.theirs_in, self.ours_out = os.pipe2(os.O_CLOEXEC)
        self.ours_in, self.theirs_out = os.pipe2(os.O_CLOEXEC)

    def command(self, command: list[str]) -> list[str]:
        """Return a command that runs `command` with its ends as descriptors 3 and 4."""
        moves = f"exec 3<&{self.theirs_in} 4>&{self.theirs_out}"
        closes = "".join(f" {end}>&-" for end in (self.theirs_in, self.theirs_out) if end not in (3, 4))
        return ["bash", "-c", f'{moves}; exec "$@"{closes}', "bash", *command]

    def close_theirs(self) -> None:
        """Close the browser's ends here, once it runs."""
        os.close(self.theirs_in)
        os.close(self.theirs_out)

    def close_ours(self) -> None:
        """Close our ends, if nobody took them."""
        os.close(self.ours_in)
        os.close(self.ours_out)


class DevTools:
    """One running browser.

    Attributes:
        on_event: called with method, parameters and session of what the browser tells by itself.
    """

    def __init__(self) -> None:
        self.on_event: Callable[[str, Json, str], object] = lambda method, parameters, session: None
        self._count = 0
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._writer: asyncio.WriteTransport | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent."""
        return self._writer is not None

    async def open(self, ends: PipeEnds) -> None:
        """Take our ends of the pipes."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_MESSAGE)
        incoming, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ends.ours_in, "rb", 0)
        )
        self._writer, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(ends.ours_out, "wb", 0)
        )
        self._reading = loop.create_task(self._read(reader, incoming), name="devtools")

    async def call(self, method: str, session: str = "", /, **parameters: object) -> Json:
        """Send a command, to the browser or to a page's session; return its result.

        Raises:
            DevToolsError: the browser refused it, does not answer in time or is gone.
        """
        self._count += 1
        number = self._count
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send(number, method, session, parameters)
            async with asyncio.timeout(CALL_TIMEOUT):
                return await answer
        except TimeoutError:
            raise DevToolsError(f"the browser did not answer {method} within {CALL_TIMEOUT:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def tell(self, method: str, session: str = "", /, **parameters: object) -> None:
        """Send a command whose result nobody needs; one that cannot be sent is lost."""
        self._count += 1
        with contextlib.suppress(DevToolsError):
            self._send(self._count, method, session, parameters)

    def close(self) -> None:
        """Give the pipes up; the browser ends when it notices."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._writer is not None:
            if not self._writer.is_closing():
                self._writer.abort()
            self._writer = None
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(DevToolsError("the browser is gone"))

    def _send(self, number: int, method: str, session: str, parameters: Mapping[str, object]) -> None:
        if self._writer is None or self._writer.get_write_buffer_size() > MAX_UNSENT:
            raise DevToolsError("the browser takes no commands")
        message: Json = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._writer.write(json.dumps(message).encode() + b"\0")

    async def _read(self, reader: asyncio.StreamReader, incoming: asyncio.BaseTransport) -> None:
        try:
            while True:
                try:
                    self._take(await reader.readuntil(b"\0"))
                except asyncio.LimitOverrunError as error:
                    # its end arrives as a piece that is no JSON; closing the pipe would end the browser
                    log.warning("a DevTools message was too long", limit=MAX_MESSAGE)
                    await reader.readexactly(error.consumed)
        except (asyncio.IncompleteReadError, OSError):
            log.debug("the browser closed its DevTools pipe")
        finally:
            incoming.close()
            self._reading = None
            self.close()

    def _take(self, raw: bytes) -> None:
        # a browser that was taken over may say anything
        with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
            message = json.loads(raw[:-1])
            answer = self._waiting.get(message.get("id", 0))
            if answer is None:
                if "method" in message:
                    self.on_event(message["method"], message.get("params", {}), message.get("sessionId", ""))
            elif not answer.done():
                if "error" in message:
                    answer.set_exception(DevToolsError(str(message["error"].get("message"))[:200]))
                else:
                    answer.set_result(message.get("result", {}))
