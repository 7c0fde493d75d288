"""The API as an ASGI application."""

import hmac

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hostagent.api import agent_routes, instance_routes, standby_routes, stream_routes
from hostagent.api.context import ApiContext, add_error_handlers


def build_api(context: ApiContext) -> FastAPI:
    """Return the API; who may call is the server's matter (socket mode, `RequireToken`)."""
    app = FastAPI(
        title="catnap host agent", description="Instances that sleep and wake.", docs_url=None, redoc_url=None
    )
    app.state.context = context
    for routes in (instance_routes, standby_routes, stream_routes, agent_routes):
        app.include_router(routes.router)
    add_error_handlers(app)
    return app


class RequireToken:
    """Lets requests with the right bearer token through; compares in constant time."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401 without the token."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) == 1 and hmac.compare_digest(given[0], self._expected):
            await self._app(scope, receive, send)
            return
        body = b'{"code":"unauthorized","message":"show the token: Authorization: Bearer TOKEN"}'
        headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class LimitBody:
    """Refuses bodies longer than so many bytes, however they are sent."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 for what is longer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._limit:
            await _too_large(send)
            return
        received = 0
        answering = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message if received <= self._limit else {"type": "http.disconnect"}

        async def answered(message: Message) -> None:
            # Whatever the routes make of a body that was cut short, the caller learns why it was.
            nonlocal answering
            if received <= self._limit:
                await send(message)
            elif not answering:
                answering = True
                await _too_large(send)

        await self._app(scope, counted, answered)


async def _too_large(send: Send) -> None:
    body = b'{"code":"too_large","message":"the body is longer than api.max_body"}'
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
