"""The agent itself: health, metrics, what is here, what this machine can do, and taking it all down."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import JsonValue

from hostagent.api.context import context_of
from hostagent.api.wire import DownRequest, finding_to_wire
from hostagent.standby.status import rfc3339

router = APIRouter()


@router.get("/health", operation_id="getHealth")
async def health(request: Request) -> dict[str, JsonValue]:
    """Say that the agent answers."""
    return {"status": "ok", "epoch": context_of(request).epoch}


@router.get("/metrics", operation_id="getMetrics")
async def metrics(request: Request) -> Response:
    """Show the metrics in the Prometheus text format."""
    return Response(generate_latest(context_of(request).registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/inventory", operation_id="getInventory")
async def inventory(request: Request) -> dict[str, JsonValue]:
    """Say in one answer, from memory, what is here: each level and generation, the agent's epoch."""
    context = context_of(request)
    return {
        "epoch": context.epoch,
        "time": rfc3339(context.clock.now()),
        "sequence": context.events.last,
        "instances": [
            {
                "id": one.id,
                "name": one.name,
                "state": one.state.value,
                "level": one.level.value,
                "level_since": rfc3339(one.since),
                "generation": one.record.generation,
                "wakes_on_packet": one.wakeable,
            }
            for one in context.lifecycle.registry
        ],
    }


@router.get("/doctor", operation_id="runDoctor")
async def doctor(request: Request) -> list[dict[str, JsonValue]]:
    """Say what was tried on this machine, what came of it, and what to do about it."""
    return [finding_to_wire(one) for one in await context_of(request).doctor()]


@router.post("/agent/down", operation_id="takeDown", status_code=202)
async def down(request: Request, body: Annotated[DownRequest | None, Body()] = None) -> dict[str, JsonValue]:
    """Stop all instances, remove what the agent made on the host, end it. `remove`: the instances go, too."""
    context = context_of(request)
    context.down(body is not None and body.remove)
    return {"instances": [one.name for one in context.lifecycle.registry]}
