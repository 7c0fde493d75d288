"""The JSON of the routes, by neko's names. A field that neko leaves out without a value is left out here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from streamserver.members.profile import MemberProfile
from streamserver.sessions.model import Session


def _is_none(value: object) -> bool:
    return value is None


AbsentTime = Annotated[datetime | None, Field(exclude_if=_is_none)]
AbsentText = Annotated[str | None, Field(exclude_if=_is_none)]


class LoginRequest(BaseModel):
    """Who wants in. Fields that are left out are empty, as in neko."""

    username: str = Field("", max_length=256)
    """Any name with `multiuser`; a member's name with other providers."""
    password: str = Field("", max_length=1024)
    """The password."""
    cookie: bool = False
    """Ours: answer with an HttpOnly cookie and no token in the body, as our own page asks."""


class StateBody(BaseModel):
    """What a session does. A time is absent while it does not apply."""

    is_connected: bool
    """Has a WebSocket."""
    connected_since: AbsentTime = None
    """When the WebSocket came."""
    not_connected_since: AbsentTime = None
    """When it went."""
    is_watching: bool
    """Gets picture and sound."""
    watching_since: AbsentTime = None
    """When it began to."""
    not_watching_since: AbsentTime = None
    """When it ceased to."""


class SessionBody(BaseModel):
    """A session as clients see it."""

    id: str
    """Its id."""
    profile: MemberProfile
    """Its name and rights."""
    state: StateBody
    """What it does."""

    @classmethod
    def of(cls, session: Session) -> SessionBody:
        """Return the body for a session."""
        return cls(
            id=session.id, profile=session.profile, state=StateBody.model_validate(session.state.to_wire())
        )


class LoginBody(SessionBody):
    """The answer to a login."""

    token: AbsentText = None
    """The session's token; absent when it is in the cookie."""


class BroadcastBody(BaseModel):
    """Whether the room is broadcast."""

    url: AbsentText = None
    """Where to; where to last, when it is not."""
    is_active: bool
    """Whether it is."""


class BroadcastRequest(BaseModel):
    """Where to broadcast."""

    url: str = Field("", max_length=2048)
    """`rtmp://…` or `rtmps://…`."""


class WhipBody(BaseModel):
    """How publishing the room to a media server goes."""

    state: Literal["off", "connecting", "publishing", "waiting"]
    """`waiting`: for the next attempt."""
    url: AbsentText = None
    """The endpoint; the last one when it is off."""
    error: AbsentText = None
    """Why the last attempt ended."""
    connections: int
    """Attempts since it was started."""
    bytes_sent: int
    """By the present connection."""
    round_trip: float | None
    """Seconds to the media server and back; null before it is known."""
    fraction_lost: float
    """Share of the picture's packets that were missed lately, 0 to 1."""


class WhipRequest(BaseModel):
    """Where to publish."""

    url: str = Field("", max_length=2048)
    """WHIP endpoint; empty: `webrtc.whip.url`, with its token."""
    token: str = Field("", max_length=4096)
    """Bearer token for it, if it wants one."""
    video: str = Field("", max_length=128)
    """Quality of the picture; empty: `webrtc.whip.video`, or the best."""


class KeyboardMapBody(BaseModel):
    """A keyboard layout by XKB's names."""

    layout: str = Field("", max_length=128)
    """Such as `us` or `de`."""
    variant: str = Field("", max_length=128)
    """Such as `nodeadkeys`; may be empty."""


class KeyboardModifiersBody(BaseModel):
    """Which modifiers are locked."""

    shift: bool
    """Shift."""
    capslock: bool
    """Caps Lock; only remembered."""
    control: bool
    """Control."""
    alt: bool
    """Alt."""
    numlock: bool
    """Num Lock; only remembered."""
    meta: bool
    """Meta."""
    super: bool
    """Super (the key with a logo)."""
    altgr: bool
    """AltGr."""


class KeyboardModifiersUpdate(BaseModel):
    """A change of locked modifiers; what is absent or null stays as it is."""

    model_config = ConfigDict(strict=True)

    shift: bool | None = None
    """Shift."""
    capslock: bool | None = None
    """Caps Lock; only remembered."""
    control: bool | None = None
    """Control."""
    alt: bool | None = None
    """Alt."""
    numlock: bool | None = None
    """Num Lock; only remembered."""
    meta: bool | None = None
    """Meta."""
    super: bool | None = None
    """Super (the key with a logo)."""
    altgr: bool | None = None
    """AltGr."""


class ClipboardBody(BaseModel):
    """What is in the clipboard, as text."""

    text: AbsentText = None
    """Plain text."""
    html: AbsentText = None
    """The same with formatting."""


class ControlBody(BaseModel):
    """Who controls (neko: hosts) the browser."""

    has_host: bool
    """Whether anybody does."""
    host_id: AbsentText = None
    """The session that does; absent for nobody."""


class ScreenBody(BaseModel):
    """A screen size."""

    width: int = 0
    """Pixels."""
    height: int = 0
    """Pixels."""
    rate: int = 0
    """Frames per second; 0 asks for the default."""


class StatsBody(BaseModel):
    """Who is here, and since when nobody is."""

    has_host: bool
    """Whether anybody is in control."""
    host_id: AbsentText = None
    """The session in control."""
    server_started_at: datetime
    """When the server started."""
    total_users: int
    """Connected sessions that are not admins."""
    last_user_left_at: AbsentTime = None
    """When the last of them left; only while there are none and somebody had been here."""
    total_admins: int
    """Connected admins."""
    last_admin_left_at: AbsentTime = None
    """When the last of them left; only while there are none and one had been here."""


class RoomSettingsUpdate(BaseModel):
    """A change of the room's settings; what is absent or null stays as it is."""

    model_config = ConfigDict(strict=True)

    private_mode: bool | None = None
    """Only admins see and control the browser."""
    locked_logins: bool | None = None
    """Only admins can log in."""
    locked_controls: bool | None = None
    """Only admins can take control."""
    control_protection: bool | None = None
    """Controls are locked while no admin is connected."""
    implicit_hosting: bool | None = None
    """Whoever clicks or types takes control."""
    inactive_cursors: bool | None = None
    """Show the pointers of those who do not control."""
    merciful_reconnect: bool | None = None
    """A second connection of a session replaces the first."""
    heartbeat_interval: int | None = None
    """Seconds between two heartbeats of a client; 0 for none."""
    plugins: dict[str, JsonValue] | None = None
    """Settings of plugins, merged key by key."""


class PartBody(BaseModel):
    """How one part of the server is doing."""

    status: str
    """`ok`, `degraded` or `failed`."""
    summary: str
    """What is wrong and what to do; may be empty when all is well."""
    details: dict[str, JsonValue]
    """The figures behind it."""


class HealthBody(BaseModel):
    """How the server is doing."""

    status: str
    """`ok`; `degraded`: something fails and is tried again; `failed`: a part does not do its job."""
    parts: Annotated[dict[str, PartBody] | None, Field(exclude_if=_is_none)] = None
    """The parts, for admins only."""


class PluginBody(BaseModel):
    """A plugin that was found."""

    model_config = ConfigDict(extra="allow")

    name: str
    """Its name."""
    state: str
    """What became of it: started, failed, …"""
