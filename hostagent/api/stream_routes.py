"""What goes on: events of all instances, and the output of one, as server-sent events."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from hostagent.api.context import context_of
from hostagent.api.instance_routes import Named
from hostagent.api.output import follow, size
from hostagent.api.wire import event_to_wire
from hostagent.errors import BadRequestError
from hostagent.instances.events import Event, EventLog, SlowSubscriberError
from hostagent.instances.model import InstanceId
from hostagent.runtimes.process.output_log import log_of
from hostagent.runtimes.process.output_log import tail as last_lines

router = APIRouter()

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent, so that a dead reader is noticed."""


@router.get("/events", operation_id="streamEvents")
async def events(
    request: Request,
    since: Annotated[int | None, Query(ge=0)] = None,
    instance: str | None = None,
    follow_on: Annotated[bool, Query(alias="follow")] = True,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Stream what happens; with `since` (or `Last-Event-ID`) what happened after that number first.

    A `missed` event says that some cannot be replayed. A reader that does not keep up is cut off, and comes
    back with the last number it saw.
    """
    context = context_of(request)
    if last_event_id is not None and since is None:
        if not last_event_id.isdecimal():
            raise BadRequestError(f"Last-Event-ID is a number, not {last_event_id!r}")
        since = int(last_event_id)
    only = None if instance is None else context.lifecycle.registry.find(instance).id
    return StreamingResponse(
        _event_stream(context.events, since, only, follow_on), media_type="text/event-stream"
    )


async def _event_stream(
    log: EventLog, since: int | None, instance: InstanceId | None, follow_on: bool
) -> AsyncIterator[str]:
    last = log.last
    stream = log.stream(since, instance)
    waiting: asyncio.Task[Event] | None = None
    yield ": events\n\n"
    try:
        while follow_on or (since is not None and since < last):
            waiting = waiting or asyncio.ensure_future(anext(stream))
            done, _ = await asyncio.wait((waiting,), timeout=KEEP_ALIVE if follow_on else 0.0)
            if not done:
                if not follow_on:
                    return
                yield ": still here\n\n"
                continue
            event, waiting = waiting.result(), None
            since = event.sequence
            wire = json.dumps(event_to_wire(event))
            yield f"id: {event.sequence}\nevent: {event.type.value}\ndata: {wire}\n\n"
    except SlowSubscriberError:
        yield ": you did not read; come back with the last id you have\n\n"
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        await stream.aclose()  # type: ignore[attr-defined]


@router.get("/instances/{instance_id}/logs", operation_id="getInstanceLogs")
async def logs(
    request: Request,
    instance: Named,
    tail: Annotated[int, Query(ge=0, le=100_000)] = 100,
    follow_on: Annotated[bool, Query(alias="follow")] = False,
    source: Literal["app", "hypeman"] = "app",
) -> StreamingResponse:
    """Stream its output: `app` is what the command wrote, `hypeman` what was done with it (events)."""
    context = context_of(request)
    if source == "hypeman":
        found = [json.dumps(event_to_wire(event)) for event in context.events.history(instance.id, tail)]
        return StreamingResponse(_lines(found, None), media_type="text/event-stream")
    path = log_of(context.settings.instance_dir(instance.id))
    position = size(path)
    lines = await asyncio.to_thread(last_lines, path, tail)
    rest = (path, position) if follow_on else None
    return StreamingResponse(_lines(lines, rest), media_type="text/event-stream")


async def _lines(lines: list[str], rest: tuple[Path, int] | None) -> AsyncIterator[str]:
    for line in lines:
        yield f"data: {line}\n\n"
    if rest is not None:
        async for more in follow(*rest):
            yield ": still here\n\n" if more is None else f"data: {more}\n\n"
