"""A session, its state, and the rules of the room: data that everybody reads and the manager changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, NewType, Protocol, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from streamserver.members.merging import merge
from streamserver.members.profile import MemberProfile

if TYPE_CHECKING:
    from streamserver.config.settings import SessionSettings

SessionId = NewType("SessionId", str)

Form = TypeVar("Form")

API_SESSION_ID = SessionId("API")
"""The virtual session behind `session.api_token`."""


CURSOR_TRAIL = 128
"""Positions of a pointer that are kept until they are sent; older ones are dropped."""


class Absent(Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""A message without the key `payload`, which is not the same as one whose payload is null."""


class BadRoomSettings(ValueError):  # noqa: N818 (it says what the value is)
    """A change of the room's settings is malformed; the message names the field."""


class Message:
    """One message to many: what it becomes on its way to a client is made once for all of them."""

    __slots__ = ("_made", "event", "payload")

    def __init__(self, event: str, payload: object = ABSENT) -> None:
        """`payload` must not change any more."""
        self.event = event
        self.payload = payload
        self._made: dict[object, object] = {}

    def form(self, make: Callable[[str, object], Form]) -> Form:
        """Return `make(event, payload)`, which is called once however many ask."""
        try:
            return cast("Form", self._made[make])
        except KeyError:
            made = self._made[make] = make(self.event, self.payload)
            return made


class SocketPeer(Protocol):
    """The WebSocket of a session."""

    def send(self, event: str, payload: object = ABSENT) -> None:
        """Queue one message. Never blocks; a full queue closes this peer and nobody else's."""

    def pass_on(self, message: Message) -> None:
        """Do the same with a message that others get too."""

    def close(self, reason: str) -> None:
        """Send `system/disconnect` with this reason, then close. Never blocks; once is enough."""


class MediaPeer(Protocol):
    """The WebRTC connection of a session."""

    def set_paused(self, paused: bool) -> None:
        """Stop or go on sending picture and sound."""

    def close(self, reason: str) -> None:
        """Begin to close; never blocks, twice is fine."""


def rfc3339(time: datetime) -> str:
    """Return the time as JSON has it on the wire, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class SessionState:
    """Whether a session has a WebSocket and a WebRTC connection, and since when it has, or has not.

    Of each pair of times the one that applies is set once something has changed; at first none is.
    """

    is_connected: bool = False
    connected_since: datetime | None = None
    not_connected_since: datetime | None = None
    is_watching: bool = False
    watching_since: datetime | None = None
    not_watching_since: datetime | None = None

    def to_wire(self) -> dict[str, JsonValue]:
        """Return the state as clients see it: times that do not apply are left out."""
        wire: dict[str, JsonValue] = {"is_connected": self.is_connected}
        if self.connected_since:
            wire["connected_since"] = rfc3339(self.connected_since)
        if self.not_connected_since:
            wire["not_connected_since"] = rfc3339(self.not_connected_since)
        wire["is_watching"] = self.is_watching
        if self.watching_since:
            wire["watching_since"] = rfc3339(self.watching_since)
        if self.not_watching_since:
            wire["not_watching_since"] = rfc3339(self.not_watching_since)
        return wire


class RoomSettings(BaseModel):
    """The rules of the room, which an admin changes while it runs. Frozen: a change is a new object."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    private_mode: bool = False
    """Only admins see and control the browser."""
    locked_logins: bool = False
    """Only admins can log in."""
    locked_controls: bool = False
    """Only admins can take control."""
    control_protection: bool = False
    """Controls are locked while no admin is connected."""
    implicit_hosting: bool = False
    """Whoever asks for control has it at once, also from another."""
    inactive_cursors: bool = False
    """The pointers of those who are not in control are shown."""
    merciful_reconnect: bool = True
    """A second connection of a session replaces the first in place of being refused."""
    heartbeat_interval: int = Field(default=10, ge=0, le=86_400)
    """Seconds between two heartbeats that clients are asked to send; 0: none."""
    plugins: dict[str, JsonValue] | None = None
    """Settings of plugins for the whole room, by flat keys such as `chat.can_send`; None when never set."""

    @classmethod
    def at_start(cls, settings: SessionSettings) -> Self:
        """Return the rules the configuration begins with; protected controls begin locked."""
        return cls(
            private_mode=settings.private_mode,
            locked_logins=settings.locked_logins,
            locked_controls=settings.locked_controls or settings.control_protection,
            control_protection=settings.control_protection,
            implicit_hosting=settings.implicit_hosting,
            inactive_cursors=settings.inactive_cursors,
            merciful_reconnect=settings.merciful_reconnect,
            heartbeat_interval=settings.heartbeat_interval,
        )

    def merge(self, changes: Mapping[str, JsonValue]) -> Self:
        """Return these rules with `changes` laid over them; raises `BadRoomSettings` for a wrong type.

        Unknown keys are ignored, keys match in any case, null changes nothing but `plugins` (forgets
        them all), which is otherwise merged key by key.
        """
        try:
            return merge(self, changes)
        except ValueError as error:
            raise BadRoomSettings(f"room setting {error}") from None

    def to_wire(self) -> dict[str, JsonValue]:
        """Return the rules as clients see them."""
        return self.model_dump(mode="json")


class Session:
    """Somebody who logged in. Everybody reads it; only `SessionManager` changes it.

    But for `last_input` and `cursor_trail`, which whoever receives input keeps.
    """

    def __init__(self, session_id: SessionId, profile: MemberProfile) -> None:
        self.id = session_id
        self.profile = profile
        self.state = SessionState()
        self.socket: SocketPeer | None = None
        """Its WebSocket; None also while a lost one still counts as connected."""
        self.media: MediaPeer | None = None
        """Its WebRTC connection, from the offer on."""
        self.is_controller = False
        """Whether it has control (neko: is host)."""
        self.last_input = float("-inf")
        """When it last sent input (whether it had control or not): seconds of `time.monotonic`."""
        self._wire: tuple[MemberProfile | None, SessionState | None, dict[str, JsonValue]] = (None, None, {})
        self.cursor_trail: deque[tuple[int, int]] = deque(maxlen=CURSOR_TRAIL)
        """Where its pointer was lately, px, while it did not control and may show that."""

    @property
    def is_connected(self) -> bool:
        """Whether it has a WebSocket, or lost one so recently that it may come back."""
        return self.state.is_connected

    @property
    def is_watching(self) -> bool:
        """Whether picture and sound can reach it."""
        return self.state.is_watching

    def send(self, event: str, payload: object = ABSENT) -> None:
        """Send a message to its WebSocket; without one the message is lost."""
        if self.socket is not None:
            self.socket.send(event, payload)

    def to_wire(self) -> dict[str, JsonValue]:
        """Return id, profile and state as clients see them; the same object until one of them changes.

        Everybody who connects is told of all sessions.
        """
        profile, state, wire = self._wire
        if profile is not self.profile or state is not self.state:
            wire = {"id": self.id, "profile": self.profile.to_wire(), "state": self.state.to_wire()}
            self._wire = self.profile, self.state, wire
        return wire

    def __repr__(self) -> str:
        return f"<Session {self.id}>"
