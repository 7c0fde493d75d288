"""What viewers ask for and are told, in the shapes of the signal/* messages, and the choice among the
streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SelectorType = Literal["exact", "nearest", "lower", "higher"]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class VideoSelector(_Request):
    """Which of the streams: by name, or by bitrate in bit/s when `id` is empty."""

    type: SelectorType | Literal[""] = "exact"
    id: Annotated[str, Field(max_length=128)] = ""
    bitrate: Annotated[int, Field(ge=0)] = 0


class VideoRequest(_Request):
    """What a viewer wants of the picture; None leaves it as it is."""

    disabled: bool | None = None
    selector: VideoSelector | None = None
    auto: bool | None = None


class AudioRequest(_Request):
    """What a viewer wants of the sound; None leaves it as it is."""

    disabled: bool | None = None


class VideoStatus(BaseModel):
    """What a viewer gets of the picture. `video` repeats `id`; `auto` stays false until there is an
    estimator.
    """

    model_config = ConfigDict(frozen=True)

    disabled: bool
    id: str
    video: str
    auto: bool = False


class AudioStatus(BaseModel):
    """What a viewer gets of the sound."""

    model_config = ConfigDict(frozen=True)

    disabled: bool


class IceServer(BaseModel):
    """A STUN or TURN server for the viewer's RTCPeerConnection. Empty names and passwords are left out."""

    model_config = ConfigDict(frozen=True)

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class Provide(BaseModel):
    """The answer to signal/request. Serialise with `exclude_none=True`."""

    model_config = ConfigDict(frozen=True)

    sdp: str
    iceservers: list[IceServer]
    video: VideoStatus
    audio: AudioStatus


def select_video(ids: Sequence[str], selector: VideoSelector | None) -> str | None:
    """Choose a stream among `ids`, ordered best to worst; None if there is no such one.

    `lower` is the next after the named one, `higher` the one before. Without a name the best one is taken:
    bitrates are not measured yet.
    """
    if not ids:
        return None
    if selector is None or not selector.id:
        return ids[0]
    if selector.id not in ids:
        return None
    index = list(ids).index(selector.id)
    if selector.type == "lower":
        index += 1
    elif selector.type == "higher":
        index -= 1
    return ids[index] if 0 <= index < len(ids) else None
