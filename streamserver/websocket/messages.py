"""What clients may say: parsing one frame, and the shape of each event's payload. Pure.

Parsing is as lenient as neko's (Go's encoding/json): unknown keys are ignored, keys match in any case, a
missing or null field has its zero value. It is as strict about types: a string is no number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from streamserver.sessions.model import ABSENT, Absent

MAX_EVENT_LENGTH = 128
"""Characters of an event's name; ours are far shorter, a plugin's may be longer."""

Payload: TypeAlias = "JsonValue | Absent"
"""The payload of a message; `ABSENT` when the key is not there."""


class BadMessage(ValueError):  # noqa: N818 (it says what the message is)
    """A frame that is no message, or a payload of the wrong shape; the text says what is wrong.

    Attributes:
        event: the message's event, where there is one.
    """

    event = ""


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """One message: an event's name and what comes with it."""

    event: str
    payload: Payload


def parse(text: str) -> ClientMessage:
    """Return the message in a text frame. Raises `BadMessage`."""
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise BadMessage("nested too deeply") from None
    except ValueError as error:
        raise BadMessage(f"not JSON: {error}"[:200]) from None
    if not isinstance(message, dict):
        raise BadMessage("no JSON object")
    fields = {key.lower(): value for key, value in message.items()}
    event = fields.get("event")
    if not isinstance(event, str) or not event or len(event) > MAX_EVENT_LENGTH:
        raise BadMessage("no event name")
    return ClientMessage(event, fields.get("payload", ABSENT))


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")


class WireModel(BaseModel):
    """A payload, read the way neko reads it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _go_like(cls, value: object) -> object:
        """Match keys in any case and leave nulls to the defaults; a null payload is an empty one."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            return value
        names = {name.lower(): name for name in cls.model_fields}
        return {
            names.get(key.lower(), key): item
            for key, item in value.items()
            if item is not None and isinstance(key, str)
        }


Model = TypeVar("Model", bound=BaseModel)


def decode(model: type[Model], payload: Payload) -> Model:
    """Return the payload as `model`. Raises `BadMessage`, also when there is none."""
    if payload is ABSENT:
        raise BadMessage("no payload")
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        raise BadMessage(_first_error(error)) from None


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "payload"
    return f"{place[:64]}: {first['msg']}"[:200]


Coordinate = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""Pixels from the top left; the desktop clamps them to the screen."""
Unsigned = Annotated[int, Field(ge=0, lt=2**32)]


class Position(WireModel):
    """`control/move`."""

    x: Coordinate = 0
    y: Coordinate = 0


class Scroll(WireModel):
    """`control/scroll`: notches; positive is up and left. Old clients say `x` and `y`."""

    delta_x: Coordinate = 0
    delta_y: Coordinate = 0
    control_key: bool = False
    x: Coordinate = 0
    y: Coordinate = 0

    @property
    def deltas(self) -> tuple[int, int]:
        """Notches across and along."""
        if self.delta_x == 0 and self.delta_y == 0:
            return self.x, self.y
        return self.delta_x, self.delta_y


class _AtPosition(WireModel):
    x: Coordinate | None = None
    y: Coordinate | None = None

    @property
    def position(self) -> tuple[int, int] | None:
        """Where the pointer goes first; None: it stays."""
        return None if self.x is None or self.y is None else (self.x, self.y)


class Button(_AtPosition):
    """`control/button*`: X button number, 1 left, 2 middle, 3 right."""

    code: Unsigned = 0


class Key(_AtPosition):
    """`control/key*`: an X keysym."""

    keysym: Unsigned = 0


class Paste(WireModel):
    """`control/paste` and `clipboard/set`."""

    text: str = ""


class Layout(WireModel):
    """`keyboard/map`: XKB's names."""

    layout: str = Field("", max_length=128)
    variant: str = Field("", max_length=128)


class Modifiers(WireModel):
    """`keyboard/modifiers`: what is absent stays as it is."""

    shift: bool | None = None
    capslock: bool | None = None
    control: bool | None = None
    alt: bool | None = None
    numlock: bool | None = None
    meta: bool | None = None
    super: bool | None = None
    altgr: bool | None = None


class Finger(WireModel):
    """`control/touch*`: which finger, where (px), how hard (0 to 255)."""

    touch_id: Unsigned = 0
    x: Coordinate = 0
    y: Coordinate = 0
    pressure: Annotated[int, Field(ge=0, le=255)] = 0


class Screen(WireModel):
    """`screen/set`: pixels, and frames per second (0: 60)."""

    width: Unsigned = 0
    height: Unsigned = 0
    rate: Unsigned = 0


class Unicast(WireModel):
    """`send/unicast`: anything, for one session."""

    receiver: str = ""
    subject: str = ""
    body: JsonValue = None


class Broadcast(WireModel):
    """`send/broadcast`: anything, for every other session."""

    subject: str = ""
    body: JsonValue = None


class Description(WireModel):
    """`signal/offer` and `signal/answer`: an SDP."""

    sdp: str = ""


class LogLine(WireModel):
    """One entry of `system/logs`."""

    level: str = ""
    message: str = ""
    fields: JsonValue = None


_LOG_LINES = TypeAdapter(list[LogLine])


def decode_log_lines(payload: Payload) -> list[LogLine]:
    """Return the entries of `system/logs`. Raises `BadMessage`."""
    if payload is ABSENT:
        raise BadMessage("no payload")
    try:
        return _LOG_LINES.validate_python(payload or [])
    except ValidationError as error:
        raise BadMessage(_first_error(error)) from None
