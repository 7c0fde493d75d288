"""The gate over HTTP: pin, leases and evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field

from plugins.scaletozero.admission import Admission, caller
from plugins.scaletozero.callers import Network
from plugins.scaletozero.commands import GateWriteError, LeaseLimitError
from plugins.scaletozero.evidence import Evidence
from plugins.scaletozero.operations import Operations
from streamserver.logs import get_logger
from streamserver.plugins.http import ApiError, JsonRoute, Responses, describes

log = get_logger("scaletozero")

PREFIX = "/scaletozero"
"""Where the routes are, below the root and below `/api`."""

LONGEST_LEASE = 300
"""Seconds."""
LONGEST_REASON = 200
"""Characters."""
LEASE_ID = r"^[A-Za-z0-9_-]{1,128}$"

DISABLE_FAILED = "failed to disable scale-to-zero"
ENABLE_FAILED = "failed to enable scale-to-zero"
ACQUIRE_FAILED = "failed to acquire scale-to-zero lease"
RELEASE_FAILED = "failed to release scale-to-zero lease"


class Failure(BaseModel):
    """What is said when the control file could not be written, as kernel-images says it."""

    message: str


class LeaseRequest(BaseModel):
    """For how long, and why."""

    ttl_seconds: Annotated[int, Field(strict=True, ge=1, le=LONGEST_LEASE)]
    """From now on."""
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""
    """For people who ask why the machine is awake."""


class Lease(BaseModel):
    """A lease that has been taken or renewed."""

    id: str
    ttl_seconds: int
    reason: str


LeaseId = Annotated[str, Path(pattern=LEASE_ID, description="Names the lease; the same one renews it.")]

_TOKENS: list[dict[str, list[str]]] = [{"BearerAuth": []}, {"TokenAuth": []}, {}]
_CHANGING: Responses = describes(
    _401="No token, or one that is not known.",
    _403="The session is not an admin's, it came by cookie, or a web page made the request.",
)


class GateRoutes:
    """The handlers, around what they do and who may call them."""

    def __init__(self, operations: Operations, trusted: Sequence[Network]) -> None:
        """`trusted` are the networks whose callers need no credentials."""
        self._gate = operations
        self._admission = Admission(trusted)

    def router(self) -> APIRouter:
        """Return the routes, for `add_root_router(PREFIX, …)`; they check themselves who may call."""
        changing = APIRouter(
            dependencies=[Depends(self._admission.to_change), Depends(_body_has_come)],
            responses=_CHANGING,
            route_class=JsonRoute,
        )
        for method, path, handler, failure in (
            ("POST", "/disable", self.disable_scale_to_zero, DISABLE_FAILED),
            ("POST", "/enable", self.enable_scale_to_zero, ENABLE_FAILED),
            ("DELETE", "/leases/{lease_id}", self.drop_scale_to_zero_lease, RELEASE_FAILED),
        ):
            changing.add_api_route(
                path,
                handler,
                methods=[method],
                status_code=204,
                response_class=Response,
                responses=_failing(failure),
                openapi_extra={"security": _TOKENS},
            )
        changing.add_api_route(
            "/leases/{lease_id}",
            self.take_scale_to_zero_lease,
            methods=["PUT"],
            response_model=Lease,
            responses=_failing(ACQUIRE_FAILED)
            | describes(_400="The id, the time or the body is not valid.", _409="There are too many leases."),
            openapi_extra={"security": _TOKENS},
        )
        router = APIRouter(tags=["scale-to-zero"])
        router.add_api_route(
            "",
            self.scale_to_zero,
            methods=["GET"],
            response_model=Evidence,
            dependencies=[Depends(self._admission.to_ask)],
            responses=describes(
                _401="No token, or one that is not known. A cookie that was sent is cleared.",
                _403="The session is not an admin's.",
            ),
            openapi_extra={"security": [*_TOKENS, {"CookieAuth": []}]},
        )
        router.include_router(changing)
        return router

    async def scale_to_zero(self) -> Evidence:
        """Tell why the machine is awake or may sleep."""
        return self._gate.evidence()

    async def disable_scale_to_zero(self, request: Request) -> Response:
        """Pin: hold the machine awake until it is enabled again. A flag, not a count; again: no change."""
        try:
            await self._gate.pin(caller(request))
        except GateWriteError as error:
            return _failed(DISABLE_FAILED, error)
        return Response(status_code=204)

    async def enable_scale_to_zero(self) -> Response:
        """Unpin. Whatever else holds the machine awake goes on doing so; not pinned: no change."""
        try:
            await self._gate.unpin()
        except GateWriteError as error:
            return _failed(ENABLE_FAILED, error)
        return Response(status_code=204)

    async def take_scale_to_zero_lease(self, lease_id: LeaseId, wanted: LeaseRequest) -> Response:
        """Hold the machine awake for some seconds from now; the same id renews it, longer or shorter."""
        try:
            await self._gate.lease(lease_id, wanted.ttl_seconds, wanted.reason)
        except LeaseLimitError as error:
            raise ApiError(409, str(error)) from error
        except GateWriteError as error:
            return _failed(ACQUIRE_FAILED, error)
        return JSONResponse(Lease(id=lease_id, **wanted.model_dump()).model_dump())

    async def drop_scale_to_zero_lease(self, lease_id: LeaseId) -> Response:
        """End a lease now; unknown: no change."""
        try:
            await self._gate.drop(lease_id)
        except GateWriteError as error:
            return _failed(RELEASE_FAILED, error)
        return Response(status_code=204)


async def _body_has_come(request: Request) -> None:
    """Dependency: read a body nobody asked for, since one that is too large is refused only when read."""
    await request.body()


def _failing(message: str) -> Responses:
    return {500: {"model": Failure, "description": f"The control file was not written: `{message}`."}}


def _failed(message: str, error: GateWriteError) -> JSONResponse:
    log.warning(message, error=str(error))
    return JSONResponse(Failure(message=message).model_dump(), 500)
