"""What a member may do: neko's member profile."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue

from streamserver.members.merging import merge


class BadProfileError(ValueError):
    """A profile, or a change of one, has a field of the wrong type; the message names it."""


class MemberProfile(BaseModel):
    """Name and rights of a member, by neko's names; what is not said is not allowed.

    Frozen: a change is a new profile (`merge`), so that whoever compares old and new sees both whole.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    name: str = ""
    """What others see."""
    is_admin: bool = False
    """May change the room, its screen and its members; passes the locks of the room."""
    can_login: bool = False
    """May use the API at all."""
    can_connect: bool = False
    """May open a WebSocket."""
    can_watch: bool = False
    """May get picture and sound."""
    can_host: bool = False
    """May take control."""
    can_share_media: bool = False
    """May send microphone and camera."""
    can_access_clipboard: bool = False
    """May read and write the clipboard of the browser while in control."""
    sends_inactive_cursor: bool = False
    """Shows its pointer to others while not in control."""
    can_see_inactive_cursors: bool = False
    """Sees the pointers of those who are not in control."""
    plugins: dict[str, JsonValue] | None = None
    """Settings of plugins for this member, by flat keys such as `chat.can_send`; None when never set."""

    def merge(self, changes: Mapping[str, JsonValue]) -> MemberProfile:
        """Return this profile with `changes` laid over it; raises `BadProfileError` for a wrong type.

        As neko decodes JSON: unknown keys are ignored, keys match in any case, a null right changes
        nothing, `plugins` is merged key by key and a null there forgets them all.
        """
        try:
            return merge(self, changes)
        except ValueError as error:
            raise BadProfileError(f"profile field {error}") from None

    def named(self, username: str) -> MemberProfile:
        """Return this profile, under `username` where it has no name."""
        return self if self.name else self.model_copy(update={"name": username})

    def to_wire(self) -> dict[str, JsonValue]:
        """Return the profile as clients see it."""
        return self.model_dump(mode="json")


FULL_RIGHTS = MemberProfile(
    is_admin=True,
    can_login=True,
    can_connect=True,
    can_watch=True,
    can_host=True,
    can_share_media=True,
    can_access_clipboard=True,
    sends_inactive_cursor=True,
    can_see_inactive_cursors=True,
)
"""Whoever has it may do everything; it has no name."""
