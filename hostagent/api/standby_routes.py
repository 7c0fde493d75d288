"""Sleep and wake of an instance, and why."""

from typing import Annotated

from fastapi import APIRouter, Body, Request
from pydantic import JsonValue

from hostagent.activity.contract import Lease
from hostagent.api.context import context_of
from hostagent.api.instance_routes import Named, shown
from hostagent.api.wire import PingRequest, StandbyRequest, event_to_wire
from hostagent.durations import format_duration, parse_duration
from hostagent.errors import BadRequestError
from hostagent.instances.model import Level
from hostagent.standby.status import rfc3339

router = APIRouter()

DEFAULT_LEASE = 60.0
"""Seconds a ping lasts for an instance without an idle timeout."""


@router.post("/instances/{instance_id}/standby", operation_id="standbyInstance")
async def standby_instance(
    request: Request, instance: Named, body: Annotated[StandbyRequest | None, Body()] = None
) -> dict[str, JsonValue]:
    """Put it to sleep now, unless somebody uses it (409, `aborted`)."""
    context = context_of(request)
    level = None if body is None or body.level is None else Level(body.level)
    await context.lifecycle.sleep(
        instance, level, reason="asked by API", still_idle=context.controller.still_idle
    )
    return await shown(request, instance)


@router.post("/instances/{instance_id}/restore", operation_id="restoreInstance")
async def restore_instance(request: Request, instance: Named) -> dict[str, JsonValue]:
    """Wake it; answers when it runs, also when it did already."""
    await context_of(request).lifecycle.wake(instance, "asked by API")
    return await shown(request, instance)


@router.get("/instances/{instance_id}/auto-standby/status", operation_id="getAutoStandbyStatus")
async def auto_standby_status(request: Request, instance: Named) -> dict[str, JsonValue]:
    """Say where it stands with its policy."""
    return context_of(request).controller.status(instance.id).to_wire()


@router.post("/instances/{instance_id}/auto-standby/hold", operation_id="holdAutoStandby")
async def auto_standby_hold(request: Request, instance: Named) -> dict[str, JsonValue]:
    """Keep it awake for its idle timeout from now: safe to connect until `hold_until`. 409 when it sleeps."""
    context = context_of(request)
    context.controller.hold(instance.id)
    return context.controller.status(instance.id).to_wire()


@router.post("/instances/{instance_id}/ping", operation_id="pingInstance")
async def ping_instance(
    request: Request, instance: Named, body: Annotated[PingRequest | None, Body()] = None
) -> dict[str, JsonValue]:
    """Wake it if it sleeps and keep it awake for a while (a lease)."""
    context = context_of(request)
    body = body or PingRequest()
    policy = instance.record.spec.auto_standby
    seconds = DEFAULT_LEASE if policy is None or not policy.enabled else policy.idle_timeout
    if body.duration is not None:
        try:
            seconds = parse_duration(body.duration)
        except ValueError as error:
            raise BadRequestError(f"duration: {error}") from error
    await context.lifecycle.wake(instance, f"ping of {body.owner}")
    return _lease(context.controller.ping(instance.id, body.owner, body.reason, seconds))


@router.get("/instances/{instance_id}/why", operation_id="explainInstance")
async def why(request: Request, instance: Named) -> dict[str, JsonValue]:
    """Say why it is awake or asleep: evidence, what comes next, and what was."""
    context = context_of(request)
    told = context.controller.explain(instance.id)
    wire: dict[str, JsonValue] = {
        "id": instance.id,
        "name": instance.name,
        "level": instance.level.value,
        "level_since": rfc3339(instance.since),
        "generation": instance.record.generation,
        "auto_standby": told.status.to_wire(),
        "evidence": [{"kind": one.kind, "detail": one.detail} for one in told.assessment.evidence],
        "leases": [_lease(one) for one in told.leases],
        "history": [
            {
                "time": rfc3339(past.at),
                "status": past.status.value,
                "reason": past.reason.value,
                "detail": past.detail,
            }
            for past in told.history
        ],
        "events": [event_to_wire(event) for event in context.events.history(instance.id)],
        "wakes": [
            {"level": level.value, "duration": format_duration(seconds)}
            for level, seconds in instance.record.wakes
        ],
    }
    if told.next_level is not None:
        wire["next_level"] = told.next_level.value
    if told.next_level_at is not None:
        wire["next_level_at"] = rfc3339(told.next_level_at)
    return wire


def _lease(lease: Lease) -> dict[str, JsonValue]:
    return {"owner": lease.owner, "reason": lease.reason, "awake_until": rfc3339(lease.until)}
