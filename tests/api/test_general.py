"""Health, metrics, stats, the OpenAPI document, and what plugins add."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fastapi import APIRouter
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Receive, Scope, Send

from streamserver.api.auth import CurrentSession
from streamserver.api.errors import ApiError
from streamserver.plugins.health import HealthReport, HealthStatus
from tests.api.running import API_TOKEN, Running, running

DOCS = Path(__file__).resolve().parents[2] / "docs"


async def test_health_is_true(server: Running) -> None:
    async with server.client() as client:
        answer = await client.get("/health")
    assert (answer.status_code, answer.text) == (200, "true")
    assert answer.headers["content-type"].startswith("text/plain")


async def test_detailed_health_gives_everybody_the_word_and_admins_the_reasons(server: Running) -> None:
    report = HealthReport(HealthStatus.DEGRADED, "the file is gone", {"errno": 2})
    server.context.health.register("gate", lambda: report)
    async with server.client() as client:
        answer = await client.get("/api/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "degraded"})
    async with server.client(API_TOKEN) as client:
        parts = (await client.get("/api/health")).json()["parts"]
        assert parts == {
            "gate": {"status": "degraded", "summary": "the file is gone", "details": {"errno": 2}}
        }
    server.context.health.register("broken", lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    async with server.client("wrong") as client:
        answer = await client.get("/api/health")
        assert (answer.status_code, answer.json()) == (503, {"status": "failed"})


async def test_stats_count_who_is_here(server: Running) -> None:
    eve, token = server.log_in("eve")
    ada, _ = server.log_in("ada", admin=True)
    await server.connect(eve)
    await server.connect(ada)
    server.sessions.disconnect("ada")
    server.sessions.set_controller(eve, eve)
    async with server.client(token) as client:
        stats = (await client.get("/api/stats")).json()
    assert stats.pop("server_started_at").endswith("Z")
    assert stats.pop("last_admin_left_at").endswith("Z")
    assert stats == {"has_host": True, "host_id": "eve", "total_users": 1, "total_admins": 0}


async def test_metrics_count_requests_by_route_and_not_by_path(server: Running) -> None:
    async with server.client(API_TOKEN) as client:
        for path in ("/api/sessions/a", "/api/sessions/b", "/no/such", "/no/other", "/index.html", "/health"):
            await client.get(path)
        await client.request("BREW", "/health")
        text = (await client.get("/metrics")).text
    counted = {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"])
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "catnap_http_requests_total"
    }
    assert counted == {
        ("GET", "/api/sessions/{session_id}", "404"),
        ("GET", "unknown", "404"),
        ("GET", "static", "200"),
        ("GET", "/health", "200"),
        ("other", "/health", "405"),
    }
    assert "catnap_http_request_seconds_bucket" in text


async def test_metrics_can_be_switched_off() -> None:
    async with running({"server": {"metrics": False}}) as server, server.client() as client:
        assert (await client.get("/metrics")).status_code == 404


async def test_without_a_plugin_manager_there_are_no_plugins(server: Running) -> None:
    async with server.client(API_TOKEN) as client:
        assert (await client.get("/api/plugins")).json() == []


class Stamp:
    """A plugin's middleware."""

    def __init__(self, app: ASGIApp, word: bytes) -> None:
        self.app, self.word = app, word

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def stamped(message: object) -> None:
            assert isinstance(message, dict)
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-stamp", self.word)]
            await send(message)

        await self.app(scope, receive, stamped)


def plugin_router() -> APIRouter:
    router = APIRouter()

    @router.get("")
    async def root() -> dict[str, bool]:
        return {"here": True}

    @router.get("/items/{item}")
    async def get_item(item: str) -> str:
        if item == "none":
            raise ApiError(404, "no such item")
        raise RuntimeError("the plugin's own fault, with a secret")

    return router


async def test_plugins_add_routes_and_middleware() -> None:
    async with running() as server:
        closed = APIRouter()

        @closed.get("")
        async def who(session: CurrentSession) -> str:
            return session.id

        server.api.add_router("/chat", closed)
        server.api.add_root_router("/open", plugin_router())
        server.api.add_middleware(Stamp, word=b"yes")
        async with server.client() as client:
            assert (await client.get("/api/chat")).status_code == 401
            assert (
                (await client.get("/open")).json() == (await client.get("/api/open")).json() == {"here": True}
            )
            missing = await client.get("/open/items/none")
            assert (missing.status_code, missing.json()) == (404, {"code": 404, "message": "no such item"})
            assert missing.headers["x-stamp"] == b"yes".decode()
            failed = await client.get("/open/items/x")
            assert failed.json() == {"code": 500, "message": "Internal Server Error"}
            text = (await client.get("/metrics")).text
        async with server.client(API_TOKEN) as client:
            assert (await client.get("/api/chat")).json() == "API"
            paths = (await client.get("/openapi.json")).json()["paths"]
        assert {"/api/chat", "/open", "/api/open/items/{item}"} <= set(paths)
        ids = [operation["operationId"] for operations in paths.values() for operation in operations.values()]
        assert sorted(ids) == sorted(set(ids))
        assert 'route="/open/items/{item}",status="500"' in text
        with pytest.raises(RuntimeError, match="before the first request"):
            server.api.add_router("/late", APIRouter())


async def test_a_failing_handler_is_one_log_line_with_the_route(log_output: io.StringIO) -> None:
    async with running() as server:
        server.api.add_root_router("/open", plugin_router())
        async with server.client() as client:
            answer = await client.get("/open/items/x?token=hunter2")
    assert "fault" not in answer.text
    lines = [line for line in log_output.getvalue().splitlines() if "request failed" in line]
    assert len(lines) == 1
    assert "ERR request failed" in lines[0]
    assert "route=/open/items/{item}" in lines[0]
    assert "hunter2" not in log_output.getvalue()
    assert "token=***" in log_output.getvalue()


async def test_the_openapi_document_tells_what_is_served(server: Running) -> None:
    async with server.client() as client:
        document = (await client.get("/openapi.json")).json()
        assert (await client.get("/api/openapi.json")).json() == document
    assert set(document["components"]["securitySchemes"]) == {"BearerAuth", "TokenAuth", "CookieAuth"}
    whoami = document["paths"]["/api/whoami"]["get"]
    assert {name for scheme in whoami["security"] for name in scheme} == {
        "BearerAuth",
        "TokenAuth",
        "CookieAuth",
    }
    error = whoami["responses"]["401"]["content"]["application/json"]["schema"]["$ref"]
    assert error.endswith("/ErrorMessage")
    assert set(document["components"]["schemas"]["ErrorMessage"]["properties"]) == {"code", "message"}
    assert "security" not in document["paths"]["/api/login"]["post"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description"), f"{method} {path} has no description"
            assert "422" not in operation["responses"] or "HTTPValidationError" not in str(
                operation["responses"]["422"]
            )


async def test_every_route_is_in_the_documentation(server: Running) -> None:
    text = (DOCS / "http-api.md").read_text(encoding="utf-8")
    async with server.client() as client:
        document = (await client.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in text, (
                f"docs/http-api.md does not have {method.upper()} {path}"
            )


def test_every_metric_is_in_the_documentation() -> None:
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for name in ("catnap_http_requests_total", "catnap_http_request_seconds"):
        assert f"`{name}`" in text


async def test_a_plain_request_for_the_websocket_is_a_bad_one(server: Running) -> None:
    async with server.client() as client:
        answer = await client.get("/api/ws")
    assert (answer.status_code, answer.json()) == (400, {"code": 400, "message": "Bad Request"})
