"""Talks to the agent over its unix socket, for the commands."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
from pydantic import JsonValue

TRANSITION_DEADLINE = 120.0
"""Seconds an answer may take: a stop waits for the command's end."""


class AgentError(Exception):
    """The agent refused; the message is its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class NoAgentError(Exception):
    """Nobody answers at the socket."""


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event."""

    event: str
    data: str


class AgentClient:
    """A connection to one agent; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)),
            base_url="http://agent",
            timeout=httpx.Timeout(TRANSITION_DEADLINE, connect=5.0),
        )

    def __enter__(self) -> "AgentClient":
        """Be open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self._http.close()

    def call(
        self, method: str, path: str, body: JsonValue = None, params: Mapping[str, str | int] | None = None
    ) -> JsonValue:
        """Return the answer's JSON (None for no content); raises AgentError, NoAgentError."""
        try:
            answer = self._http.request(method, path, json=body, params=params)
        except httpx.TransportError as error:
            raise self._nobody(error) from error
        if answer.status_code >= 400:
            raise _refusal(answer)
        return None if answer.status_code == 204 else cast("JsonValue", answer.json())

    def get(self, path: str, **params: str | int) -> JsonValue:
        """Return the answer to a GET."""
        return self.call("GET", path, params=params)

    def instance(self, name: str) -> dict[str, JsonValue]:
        """Return one instance."""
        return cast("dict[str, JsonValue]", self.get(f"/instances/{name}"))

    def instances(self) -> list[dict[str, JsonValue]]:
        """Return all instances."""
        return cast("list[dict[str, JsonValue]]", self.get("/instances"))

    def stream(self, path: str, **params: str | int) -> Iterator[Message]:
        """Yield the events of a stream until it ends; raises AgentError, NoAgentError."""
        timeout = httpx.Timeout(5.0, read=60.0)
        try:
            with self._http.stream("GET", path, params=params, timeout=timeout) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refusal(answer)
                event = ""
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        event = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        yield Message(event, line.removeprefix("data: "))
        except httpx.TransportError as error:
            raise self._nobody(error) from error

    def events(self, since: int | None, **params: str | int) -> Iterator[dict[str, JsonValue]]:
        """Yield what happens, from after that number; raises as `stream`."""
        if since is not None:
            params["since"] = since
        for message in self.stream("/events", **params):
            yield cast("dict[str, JsonValue]", json.loads(message.data))

    def answers(self) -> bool:
        """Tell whether an agent is there."""
        with contextlib.suppress(AgentError, NoAgentError):
            self.get("/health")
            return True
        return False

    def _nobody(self, error: httpx.TransportError) -> NoAgentError:
        return NoAgentError(
            f"no agent answers at {self._path} ({error}). `catnap host run` starts one, or run "
            "`catnap host agent`; as the same user"
        )


def _refusal(answer: httpx.Response) -> AgentError:
    try:
        body = answer.json()
        return AgentError(answer.status_code, str(body["code"]), str(body["message"]))
    except (ValueError, KeyError, TypeError):
        return AgentError(answer.status_code, "internal_error", answer.text[:500])
