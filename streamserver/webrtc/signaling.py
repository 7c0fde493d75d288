"""What viewers ask for and are told, in the shapes of the signal/* messages, and the choice among the
streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """What a viewer gets of the picture. `video` repeats `id`.

    `auto`: whether the quality follows the viewer's network; `paused` (ours): nothing is sent for now, since
    it cannot take even the lowest.
    """

    model_config = ConfigDict(frozen=True)

    disabled: bool
    id: str
    video: str
    auto: bool = False
    paused: bool = False


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


def select_video(
    ids: Sequence[str], bitrates: Mapping[str, int], selector: VideoSelector | None
) -> str | None:
    """Choose a stream; None if there is no such one.

    Args:
        ids: those to choose among, best first.
        bitrates: of every stream there is, bit/s; those that are not in `ids` are had by their name only.
        selector: what is wanted; without a name and a bitrate it is the best one.

    By name, `lower` is the next in the list and `higher` the one before. By bitrate, `nearest` is the one
    with the least difference, `exact` one that has it; `lower` the first from the end of the list that has
    less, and `higher` the first from its beginning that has more (as neko does it).
    """
    if not ids:
        return None
    if selector is None or (not selector.id and not selector.bitrate):
        return ids[0]
    if selector.id:
        return _by_name(ids, bitrates, selector)
    wanted = selector.bitrate
    match selector.type:
        case "nearest":
            return min(ids, key=lambda name: abs(bitrates[name] - wanted))
        case "lower":
            found = (name for name in reversed(ids) if bitrates[name] < wanted)
        case "higher":
            found = (name for name in ids if bitrates[name] > wanted)
        case _:
            found = (name for name in ids if bitrates[name] == wanted)
    return next(found, None)


def _by_name(ids: Sequence[str], known: Mapping[str, int], selector: VideoSelector) -> str | None:
    if selector.type not in ("lower", "higher"):
        return selector.id if selector.id in known else None
    if selector.id not in ids:
        return None
    index = list(ids).index(selector.id) + (1 if selector.type == "lower" else -1)
    return ids[index] if 0 <= index < len(ids) else None
