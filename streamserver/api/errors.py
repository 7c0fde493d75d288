"""Errors as clients see them: `{"code", "message"}` for the API, plain text for what is no route."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import fastapi
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException as RoutingException


class ErrorMessage(BaseModel):
    """The body of every error of the API."""

    code: int
    """The HTTP status again."""
    message: str
    """What is wrong, in words."""


class ApiError(fastapi.HTTPException):
    """A refusal: raise it in a handler and the client gets `{"code", "message"}`.

    Without a message the text of the HTTP status stands in, as in neko.
    """

    def __init__(
        self, code: int, message: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code, message or HTTPStatus(code).phrase, headers)


def error_response(
    code: int, message: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for an error."""
    body = ErrorMessage(code=code, message=message or HTTPStatus(code).phrase)
    return JSONResponse(body.model_dump(), code, headers)


def not_found() -> PlainTextResponse:
    """Return the answer for a path that nothing is served at, word for word neko's."""
    return PlainTextResponse("404 page not found\n", 404)


def body_too_large() -> JSONResponse:
    """Return the answer for a body over the limit.

    Not with `Connection: close`: closing while the client still sends would reset the connection, and the
    client would not see the answer. `BoundedHttp` limits how long the rest is read and dropped.
    """
    return error_response(413, "the request's body is too large; see server.max_body_size")


NO_DATA = "no data provided"
UNPARSABLE = "unable to parse provided data"


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, fastapi.HTTPException)
    return error_response(error.status_code, str(error.detail), error.headers)


async def _on_routing_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RoutingException)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return not_found()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return Response(status_code=error.status_code, headers=error.headers)
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return body_too_large()
    return error_response(error.status_code, str(error.detail), error.headers)


async def _on_failure(_: Request, __: Exception) -> Response:
    return error_response(500)  # and the error goes on to `access.py`, which logs it


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    missing = [
        fault for fault in error.errors() if fault["type"] == "missing" and tuple(fault["loc"]) == ("body",)
    ]
    return error_response(400, NO_DATA if missing else UNPARSABLE)


def install(app: FastAPI) -> None:
    """Make `app` answer errors in our form."""
    app.add_exception_handler(fastapi.HTTPException, _on_api_error)
    app.add_exception_handler(RoutingException, _on_routing_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Exception, _on_failure)


Responses = dict[int | str, dict[str, object]]


def describes(**codes: str) -> Responses:
    """Return the `responses` of a route for the OpenAPI document: `describes(_404="no such session")`."""
    return {
        int(code.lstrip("_")): {"model": ErrorMessage, "description": text} for code, text in codes.items()
    }


AUTHENTICATED: Responses = describes(
    _401="No token, or one that is not known. A cookie that was sent is cleared.",
    _403="The session may not do this; the message says what it lacks.",
)
"""What every route behind the authentication may answer."""
