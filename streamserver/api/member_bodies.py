"""The JSON of the routes for members and profiles, by neko's names."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from streamserver.members.profile import MemberProfile
from streamserver.usernames import LONGEST_NAME, LONGEST_PASSWORD


class ProfileUpdate(BaseModel):
    """A change of a profile; what is absent or null stays as it is, `plugins` is merged key by key."""

    model_config = ConfigDict(strict=True)

    name: str | None = Field(None, max_length=LONGEST_NAME)
    """What others see."""
    is_admin: bool | None = None
    """May change the room, its screen and its members."""
    can_login: bool | None = None
    """May use the API at all."""
    can_connect: bool | None = None
    """May open a WebSocket."""
    can_watch: bool | None = None
    """May get picture and sound."""
    can_host: bool | None = None
    """May take control."""
    can_share_media: bool | None = None
    """May send microphone and camera."""
    can_access_clipboard: bool | None = None
    """May read and write the clipboard of the browser while in control."""
    sends_inactive_cursor: bool | None = None
    """Shows its pointer to others while not in control."""
    can_see_inactive_cursors: bool | None = None
    """Sees the pointers of those who are not in control."""
    plugins: dict[str, JsonValue] | None = None
    """Settings of plugins, merged key by key; null forgets them all."""

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, data: Any) -> Any:  # JSON of any shape; neko's fields match in any case
        return {key.lower(): value for key, value in data.items()} if isinstance(data, dict) else data

    def changes(self) -> dict[str, JsonValue]:
        """Return what `MemberProfile.merge` takes."""
        return self.model_dump(exclude_unset=True)


class MemberBody(BaseModel):
    """A member as clients see it."""

    id: str
    """Its id, which is its session's too."""
    profile: MemberProfile
    """Its name and rights."""


class MemberCreate(BaseModel):
    """A member to be."""

    username: str = Field("", max_length=LONGEST_NAME)
    """Its name, which becomes its id."""
    password: str = Field("", max_length=LONGEST_PASSWORD)
    """Its password."""
    profile: ProfileUpdate | None = None
    """Its profile; what is absent is allowed, except being an admin."""


class MemberPassword(BaseModel):
    """A new password."""

    password: str = Field("", max_length=LONGEST_PASSWORD)
    """The password."""


class BulkUpdate(BaseModel):
    """A change of several members."""

    ids: list[str] | None = None
    """Which."""
    profile: ProfileUpdate | None = None
    """What changes in each."""


class BulkDelete(BaseModel):
    """Members to remove."""

    ids: list[str] | None = None
    """Which."""
