"""What the routes work with, and how they refuse."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from hostagent.activity.contract import Lease
from hostagent.clock import Clock
from hostagent.doctor.finding import Finding
from hostagent.errors import HostError
from hostagent.instances.events import EventLog
from hostagent.instances.lifecycle import Lifecycle
from hostagent.instances.model import InstanceId
from hostagent.instances.registry import Instance
from hostagent.logs import get_logger
from hostagent.settings import HostSettings
from hostagent.standby.ports import StillIdle
from hostagent.standby.status import AutoStandbyStatus, Explanation

_log = get_logger("api")


class Controller(Protocol):
    """What the routes ask of the standby controller."""

    @property
    def still_idle(self) -> StillIdle:
        """The last look before a sleep."""

    def status(self, instance: InstanceId) -> AutoStandbyStatus:
        """Return hypeman's status object."""

    def explain(self, instance: InstanceId) -> Explanation:
        """Return why the instance is awake or asleep."""

    def hold(self, instance: InstanceId) -> float | None:
        """Keep it awake for its idle timeout from now; return until when; raises InstanceInStandbyError."""

    def ping(self, instance: InstanceId, owner: str, reason: str, seconds: float) -> Lease:
        """Keep it awake for a while; raises HostError."""

    def release(self, instance: InstanceId, owner: str) -> bool:
        """End that early; False when there was nothing to end."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """Everything the routes work with."""

    settings: HostSettings
    clock: Clock
    lifecycle: Lifecycle
    controller: Controller
    events: EventLog
    registry: CollectorRegistry
    epoch: int
    doctor: Callable[[], Awaitable[list[Finding]]]
    """Examine the machine."""
    down: Callable[[bool], None]
    """Begin to take the host back to where it was; with True remove instances as well. Ends the agent."""


def context_of(request: Request) -> ApiContext:
    """Return what `build_api` was given."""
    return cast("ApiContext", request.app.state.context)


def instance_of(request: Request) -> Instance:
    """Return the instance that the path names by id, name or beginning of an id."""
    return context_of(request).lifecycle.registry.find(request.path_params["instance_id"])


def add_error_handlers(app: FastAPI) -> None:
    """Answer every refusal as `{"code", "message"}`."""

    @app.exception_handler(HostError)
    async def refused(_: Request, error: HostError) -> JSONResponse:
        if error.status >= 500:
            _log.error("a request failed", code=error.code, error=str(error))
        return _answer(error.status, error.code, str(error))

    @app.exception_handler(RequestValidationError)
    async def bad(_: Request, error: RequestValidationError) -> JSONResponse:
        lines = [_line(one) for one in error.errors()]
        return _answer(400, "bad_request", "; ".join(lines))

    @app.exception_handler(HTTPException)
    async def plain(_: Request, error: HTTPException) -> JSONResponse:
        codes = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}
        return _answer(error.status_code, codes.get(error.status_code, "bad_request"), str(error.detail))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        _log.error("a request failed", error=f"{type(error).__name__}: {error}")
        return _answer(500, "internal_error", f"{type(error).__name__}: {error}")


def _answer(status: int, code: str, message: str) -> JSONResponse:
    shown = message.encode("utf-8", "backslashreplace").decode()  # it may quote what is no text
    return JSONResponse({"code": code, "message": shown}, status)


def _line(error: dict[str, object]) -> str:
    where = ".".join(str(part) for part in cast("tuple[object, ...]", error["loc"]) if part != "body")
    said = str(error["msg"]).removeprefix("Value error, ")  # pydantic's own words before ours
    return f"{where or 'body'}: {said}"
