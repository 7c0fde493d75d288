"""`/instances`: make, list, show, change, remove, start, stop."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import JsonValue

from hostagent.api.context import context_of, instance_of
from hostagent.api.wire import CreateInstanceRequest, UpdateInstanceRequest, instance_to_wire
from hostagent.instances.policy import normalise
from hostagent.instances.registry import Instance

router = APIRouter()

Named = Annotated[Instance, Depends(instance_of)]
"""The instance of the path: by id, by name, or by the beginning of its id."""


async def shown(request: Request, instance: Instance) -> dict[str, JsonValue]:
    """Return an instance as it really is."""
    state, trouble = await context_of(request).lifecycle.look(instance)
    return instance_to_wire(instance, state, trouble)


@router.get("/instances", operation_id="listInstances")
async def list_instances(request: Request) -> list[dict[str, JsonValue]]:
    """List all, the oldest first."""
    found: list[dict[str, JsonValue]] = []
    for one in context_of(request).lifecycle.registry:
        found.append(await shown(request, one))
        await asyncio.sleep(0)  # packets for others do not wait for a long list
    return found


@router.post("/instances", operation_id="createInstance", status_code=201)
async def create_instance(request: Request, body: CreateInstanceRequest) -> dict[str, JsonValue]:
    """Make one and start it."""
    return await shown(request, await context_of(request).lifecycle.create(body.spec()))


@router.get("/instances/{instance_id}", operation_id="getInstance")
async def get_instance(request: Request, instance: Named) -> dict[str, JsonValue]:
    """Show one."""
    return await shown(request, instance)


@router.patch("/instances/{instance_id}", operation_id="updateInstance")
async def update_instance(
    request: Request, instance: Named, body: UpdateInstanceRequest
) -> dict[str, JsonValue]:
    """Change when it may sleep; it need not run. `auto_standby: null` removes the policy."""
    await context_of(request).lifecycle.set_policy(instance, normalise(body.auto_standby))
    return await shown(request, instance)


@router.delete("/instances/{instance_id}", operation_id="deleteInstance", status_code=204)
async def delete_instance(request: Request, instance: Named) -> Response:
    """End it and remove everything of it, its directory too."""
    await context_of(request).lifecycle.delete(instance)
    return Response(status_code=204)


@router.post("/instances/{instance_id}/start", operation_id="startInstance")
async def start_instance(request: Request, instance: Named) -> dict[str, JsonValue]:
    """Start one that is stopped."""
    await context_of(request).lifecycle.start_instance(instance)
    return await shown(request, instance)


@router.post("/instances/{instance_id}/stop", operation_id="stopInstance")
async def stop_instance(request: Request, instance: Named) -> dict[str, JsonValue]:
    """End its command; no packet starts it again."""
    await context_of(request).lifecycle.stop_instance(instance)
    return await shown(request, instance)
