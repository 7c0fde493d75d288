"""How the server is doing, and what it is made of: health, metrics, stats, plugins."""

from __future__ import annotations

import anyio.to_thread
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streamserver.api.auth import Admin, CurrentSession, OptionalSession
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, not_found
from streamserver.api.wire import HealthBody, PartBody, PluginBody, StatsBody
from streamserver.plugins.health import HealthRegistry, HealthStatus

open_router = APIRouter(tags=["general"])
router = APIRouter(prefix="/api", tags=["general"], responses=AUTHENTICATED)


@open_router.get("/health", operation_id="healthcheck", response_class=PlainTextResponse)
async def health() -> str:
    """Say `true`: the server answers."""
    return "true"


@open_router.get(
    "/api/health",
    operation_id="health",
    responses={503: {"model": HealthBody, "description": "A part has failed."}},
)
async def detailed_health(context: Context, session: OptionalSession, response: Response) -> HealthBody:
    """Tell how the server is doing: everybody gets the word, admins also which part says so and why."""
    reports = context.health.check()
    overall = HealthRegistry.overall(reports)
    if overall is HealthStatus.FAILED:
        response.status_code = 503
    if session is None or not session.profile.is_admin:
        return HealthBody(status=overall.value)
    parts = {name: PartBody.model_validate(report.to_wire()) for name, report in reports.items()}
    return HealthBody(status=overall.value, parts=parts)


@open_router.get(
    "/metrics",
    operation_id="metrics",
    response_class=PlainTextResponse,
    responses={404: {"description": "`server.metrics` is off."}},
)
async def metrics(context: Context) -> Response:
    """Return all metrics in Prometheus' text format."""
    if not context.settings.server.metrics:
        return not_found()
    text = await anyio.to_thread.run_sync(generate_latest, context.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/plugins/", include_in_schema=False)
@router.get("/plugins", operation_id="plugins")
async def plugins(_: Admin, context: Context) -> list[PluginBody]:
    """List the plugins that were found and what became of them."""
    return (
        [PluginBody.model_validate(plugin) for plugin in context.plugins.describe()]
        if context.plugins is not None
        else []
    )


@router.get("/stats", operation_id="stats")
async def stats(_: CurrentSession, context: Context) -> StatsBody:
    """Tell how many are here, and since when nobody is."""
    return StatsBody.model_validate(context.sessions.stats().to_wire())
