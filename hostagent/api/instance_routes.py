"""`/instances`: make, list, show, change, remove, start, stop."""

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import JsonValue

from hostagent.api.context import context_of, instance_of
from hostagent.api.wire import CreateInstanceRequest, UpdateInstanceRequest, instance_to_wire, port_to_wire
from hostagent.errors import HostError
from hostagent.instances.listening import wait_until_up
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


@router.get("/instances/{instance_id}/listening", operation_id="getListening")
async def listening(
    request: Request, instance: Named, within: Annotated[float, Query(ge=0, le=60)] = 0.0
) -> dict[str, JsonValue]:
    """Wait up to `within` seconds until its published ports are listened on; say which are.

    It is kept awake meanwhile: what is frozen while it starts would never listen.
    """
    controller, owner = context_of(request).controller, f"listening-{id(request)}"
    with contextlib.suppress(HostError):  # it sleeps, or does not run: then it is as it is
        if within > 0:
            controller.ping(instance.id, owner, "its service starts", within)
    try:
        found = await wait_until_up(instance, within)
    finally:
        controller.release(instance.id, owner)
    ports: list[JsonValue] = []
    for port in instance.record.spec.ports:
        reached = found.get((port.protocol, port.instance_port))
        ports.append({**port_to_wire(port), "listening": reached is not None, "reachable": bool(reached)})
    state, _ = await context_of(request).lifecycle.look(instance)
    return {"state": state.value, "ports": ports, "exit_status": instance.record.exit_status}


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
