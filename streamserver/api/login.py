"""Logging in and out: `/api/login`, `/api/logout`, `/api/whoami`."""

from __future__ import annotations

import asyncio
import math

from fastapi import APIRouter, Request, Response

from streamserver.api.auth import CurrentSession, check_same_origin
from streamserver.api.context import ApiContext, Context
from streamserver.api.cookies import clearing_header, set_cookie
from streamserver.api.errors import AUTHENTICATED, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.wire import LoginBody, LoginRequest, SessionBody
from streamserver.logs import get_logger
from streamserver.members.errors import InvalidCredentials, MemberFileError
from streamserver.members.profile import MemberProfile
from streamserver.sessions.errors import LoginsLockedError, SessionAlreadyConnectedError, TooManySessionsError

log = get_logger("api")

FAILED_LOGIN_TIME = 0.25
"""Seconds that every failed login takes, whatever the provider did: the time tells nothing about the name."""

open_router = APIRouter(prefix="/api", tags=["current-session"], route_class=JsonRoute)
router = APIRouter(prefix="/api", tags=["current-session"], route_class=JsonRoute, responses=AUTHENTICATED)


@open_router.post(
    "/login",
    operation_id="login",
    responses=describes(
        _400="The body is absent, or not what is expected.",
        _401="Wrong name or password; which of them is not said.",
        _403="Logins are locked for all but admins, or a page of another origin asked for a cookie.",
        _422="This member is connected already.",
        _429="Too many failed logins from this address or for this name; see `Retry-After`.",
        _500="The members' file cannot be read; the log says why.",
        _503="As many sessions as `session.max_sessions` allows are connected.",
    ),
)
async def login(
    credentials: LoginRequest, request: Request, response: Response, context: Context
) -> LoginBody:
    """Make a session, and give its token: in the body, or as a cookie."""
    by_cookie = credentials.cookie or context.settings.session.cookie.enabled
    if by_cookie:
        check_same_origin(request, context.settings)
    address = request.client.host if request.client else ""
    started = context.clock()
    _check_throttle(context, address, credentials.username)  # who must wait does not queue for a turn
    try:
        async with context.roster.turn:
            member_id, profile = await _authenticate(context, address, credentials)
            session, token = context.sessions.create(member_id, profile)
    except InvalidCredentials:
        log.info("login refused", client=address)
        await asyncio.sleep(max(0.0, started + FAILED_LOGIN_TIME - context.clock()))
        raise ApiError(401) from None
    except MemberFileError as error:
        log.error("members are not available", error=str(error))
        raise ApiError(500) from error
    except LoginsLockedError as error:
        raise ApiError(403, str(error)) from error
    except SessionAlreadyConnectedError as error:
        raise ApiError(422, str(error)) from error
    except TooManySessionsError as error:
        raise ApiError(503, str(error)) from error
    if by_cookie:
        set_cookie(response, request, context.settings, token)
    body = SessionBody.of(session)
    return LoginBody(id=body.id, profile=body.profile, state=body.state, token=None if by_cookie else token)


async def _authenticate(
    context: ApiContext, address: str, credentials: LoginRequest
) -> tuple[str, MemberProfile]:
    """Ask the provider, unless this address or name has failed too often lately."""
    name = credentials.username
    _check_throttle(context, address, name)
    now = context.clock()
    try:
        member = await context.members.authenticate(name, credentials.password)
    except InvalidCredentials:
        context.throttle.failed(address, name, now)
        raise
    context.throttle.succeeded(name)
    return member


def _check_throttle(context: ApiContext, address: str, name: str) -> None:
    if (wait := context.throttle.wait(address, name, context.clock())) > 0:
        seconds = math.ceil(wait)
        message = f"too many failed logins; try again in {seconds} s"
        raise ApiError(429, message, {"retry-after": str(seconds)})


@router.post(
    "/logout", operation_id="logout", responses=describes(_400="The API token has no session to end.")
)
async def logout(session: CurrentSession, request: Request, response: Response, context: Context) -> bool:
    """End the session and forget its token."""
    if context.sessions.get(session.id) is not session:
        raise ApiError(400, "session is not logged in")
    context.sessions.delete(session.id)
    if context.settings.session.cookie.name in request.cookies:
        response.headers["set-cookie"] = clearing_header(context.settings)
    return True


@router.get("/whoami", operation_id="whoami")
async def whoami(session: CurrentSession) -> SessionBody:
    """Tell the session that asks."""
    return SessionBody.of(session)
