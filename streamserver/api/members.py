"""Who may log in: `/api/members`, `/api/members_bulk`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator

from streamserver.api.auth import Admin, CurrentSession
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, UNPARSABLE, ApiError, describes
from streamserver.api.json_body import JsonRoute
from streamserver.api.member_bodies import (
    BulkDelete,
    BulkUpdate,
    MemberBody,
    MemberCreate,
    MemberPassword,
    ProfileUpdate,
)
from streamserver.logs import get_logger
from streamserver.members.errors import (
    MemberExistsError,
    MemberFileError,
    MemberNotFoundError,
    NoMemberListError,
)
from streamserver.members.profile import FULL_RIGHTS, BadProfileError, MemberProfile
from streamserver.usernames import BadUsernameError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = get_logger("api")

UNREADABLE_BULK = "unable to unmarshal payload"

NEW_MEMBER = FULL_RIGHTS.model_copy(update={"is_admin": False})
"""What a new member may do where the request does not say: neko's defaults, all but `is_admin`."""


class BulkRoute(JsonRoute):
    """A route whose refusal of a body has neko's words for the bulk routes."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, behind a step that changes the words."""
        handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()

        async def handle_bulk(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError:
                raise ApiError(400, UNREADABLE_BULK) from None
            except ApiError as error:
                if error.detail != UNPARSABLE:
                    raise
                raise ApiError(400, UNREADABLE_BULK) from None

        return handle_bulk


router = APIRouter(prefix="/api/members", tags=["members"], route_class=JsonRoute, responses=AUTHENTICATED)
bulk_router = APIRouter(
    prefix="/api/members_bulk", tags=["members"], route_class=BulkRoute, responses=AUTHENTICATED
)


def _count(value: object) -> int:
    # whatever is no number is none, as in neko
    try:
        return max(0, int(str(value)))
    except ValueError:
        return 0


Count = Annotated[int, BeforeValidator(_count), Query(ge=0)]


@asynccontextmanager
async def _refusals(message: str | None = None) -> AsyncIterator[None]:
    """Turn what members raise into answers; `message` stands in for each answer's own."""
    try:
        yield
    except MemberNotFoundError:
        raise ApiError(404, message or "member not found") from None
    except MemberExistsError:
        raise ApiError(422, "member already exists") from None
    except BadUsernameError as error:
        raise ApiError(400, str(error)) from None
    except BadProfileError:
        raise ApiError(400, UNPARSABLE) from None
    except NoMemberListError as error:
        raise ApiError(422, message or str(error)) from None
    except MemberFileError as error:
        log.error("members are not available", error=str(error))
        raise ApiError(500, message) from error


NOT_FOUND = "There is no such member."
NO_LIST = "The member provider keeps no list of members."
UNAVAILABLE = "The members' file cannot be read or written; the log says why."


@router.get("/", include_in_schema=False)
@router.get("", operation_id="membersList", responses=describes(_500=UNAVAILABLE))
async def list_members(
    _: CurrentSession, context: Context, limit: Count = 0, offset: Count = 0
) -> list[MemberBody]:
    """List the members the provider keeps: at most `limit` (0: all) after the first `offset`."""
    async with _refusals():
        members = await context.roster.list()
    chosen = list(members.items())[offset : offset + limit if limit else None]
    return [MemberBody(id=member_id, profile=profile) for member_id, profile in chosen]


@router.post("/", include_in_schema=False)
@router.post(
    "",
    operation_id="membersCreate",
    responses=describes(
        _400="The body is absent or not what is expected, or no member can have this name.",
        _422=f"There is a member of this name. {NO_LIST}",
        _500=UNAVAILABLE,
    ),
)
async def create_member(_: Admin, context: Context, member: MemberCreate) -> MemberBody:
    """Add a member. What its profile does not say is allowed, except being an admin."""
    if not member.username:
        raise ApiError(400, "username cannot be empty")
    if not member.password:
        raise ApiError(400, "password cannot be empty")
    async with _refusals():
        profile = NEW_MEMBER.merge(member.profile.changes() if member.profile else {})
        member_id = await context.roster.insert(member.username, member.password, profile)
    return MemberBody(id=member_id, profile=profile)


@router.get(
    "/{member_id}", operation_id="membersGetProfile", responses=describes(_404=NOT_FOUND, _500=UNAVAILABLE)
)
async def get_member(member_id: str, _: Admin, context: Context) -> MemberProfile:
    """Return the profile of a member: that of its session, while it has one."""
    async with _refusals():
        return await context.roster.select(member_id)


@router.post(
    "/{member_id}",
    operation_id="membersUpdateProfile",
    status_code=204,
    responses=describes(_400="The body is absent or not what is expected.", _404=NOT_FOUND, _500=UNAVAILABLE),
)
async def update_member(member_id: str, _: Admin, context: Context, profile: ProfileUpdate) -> None:
    """Change some of a member's profile, and of its session's, which is told."""
    async with _refusals():
        await context.roster.update_profile(member_id, profile.changes())


@router.post(
    "/{member_id}/password",
    operation_id="membersUpdatePassword",
    status_code=204,
    responses=describes(
        _400="The body is absent or not what is expected, or the password is empty.",
        _404=NOT_FOUND,
        _422=NO_LIST,
        _500=UNAVAILABLE,
    ),
)
async def update_password(member_id: str, _: Admin, context: Context, body: MemberPassword) -> None:
    """Give a member another password; its session goes on."""
    async with _refusals():
        if not body.password:  # neko takes it, and then anybody is that member
            await context.roster.select(member_id)
            raise ApiError(400, "password cannot be empty")
        await context.roster.update_password(member_id, body.password)


@router.delete(
    "/{member_id}",
    operation_id="membersRemove",
    status_code=204,
    responses=describes(_404=NOT_FOUND, _422=f"{NO_LIST} Its session goes on.", _500=UNAVAILABLE),
)
async def delete_member(member_id: str, _: Admin, context: Context) -> None:
    """Remove a member and end its session."""
    async with _refusals():
        await context.roster.delete(member_id)


@bulk_router.post(
    "/update",
    operation_id="membersBulkUpdate",
    status_code=204,
    responses=describes(
        _400="The body is not what is expected.",
        _404="There is no such member; those before it are changed.",
        _500=UNAVAILABLE,
    ),
)
async def bulk_update(_: Admin, context: Context, update: BulkUpdate) -> None:
    """Change some of the profiles of several members, one after the other up to the first that fails."""
    changes = update.profile.changes() if update.profile else {}
    for member_id in update.ids or ():
        async with _refusals(f"failed to update member {member_id}"):
            await context.roster.update_profile(member_id, changes)


@bulk_router.post(
    "/delete",
    operation_id="membersBulkDelete",
    status_code=204,
    responses=describes(
        _400="The body is not what is expected.",
        _404="There is no such member; those before it are removed.",
        _422=f"{NO_LIST} Sessions go on.",
        _500=UNAVAILABLE,
    ),
)
async def bulk_delete(_: Admin, context: Context, body: BulkDelete) -> None:
    """Remove several members and end their sessions, one after the other up to the first that fails."""
    for member_id in body.ids or ():
        async with _refusals(f"failed to delete member {member_id}"):
            await context.roster.delete(member_id)
