"""The OpenAPI document: FastAPI's, made true."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

from fastapi import FastAPI

VALIDATION_SCHEMAS = ("HTTPValidationError", "ValidationError")
"""What FastAPI would answer to a malformed request; we answer 400 with `ErrorMessage`."""

DESCRIPTION = """\
A shared browser. These are neko v3's routes: sessions and members, the room, the desktop.
Real-time messages go over the WebSocket at `/api/ws`, picture, sound and input over WebRTC.

Authenticate with the token of a login (`Authorization: Bearer`, or `?token=`), or with the cookie of one.
A cookie counts only for requests of our own page and of the origins in `server.cors`.
Errors have the body `{"code", "message"}`; a path that is no route is answered with plain text.
"""


def version() -> str:
    """Return the version of the installed server."""
    try:
        return installed_version("catnap")
    except PackageNotFoundError:
        return "0"


def describe(app: FastAPI, cookie_name: str) -> dict[str, Any]:  # the document is JSON of any shape
    """Return the document of all routes that `app` has now."""
    app.openapi_schema = None
    document = app.openapi()
    for operations in document["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            if VALIDATION_SCHEMAS[0] in str(answers.get("422")):
                del answers["422"]
    components = document["components"]
    for name in VALIDATION_SCHEMAS:
        components["schemas"].pop(name, None)
    components["securitySchemes"]["CookieAuth"]["name"] = cookie_name
    return document
