"""The settings of what leaves the room and comes in besides WebRTC's picture and sound."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from streamserver.config.section import Section
from streamserver.config.types import Form, RequiredPath, Unit

_RATE = re.compile(r"(\d{1,4}(?:\.\d{1,4})?)(?:/(\d{1,4}))?", re.ASCII)


def parse_rate(value: object) -> object:
    """Return pictures a second for `10/1` (neko's way) or a number. Raises ValueError for anything else."""
    if not isinstance(value, str):
        return value
    match = _RATE.fullmatch(value.strip())
    if match is None or int(match[2] or 1) == 0:
        raise ValueError("not a rate")
    return float(Fraction(match[1]) / int(match[2] or 1))


class ScreencastSettings(Section):
    """The screen as single JPEG pictures."""

    enabled: bool = False
    """Serve `GET /api/room/screen/cast.jpg`, for clients that can show no video."""
    rate: Annotated[
        float,
        BeforeValidator(parse_rate),
        Ge(0.1),
        Le(60),
        Unit("pictures/s"),
        Form("pictures a second such as 10 or 10/1"),
    ] = 10.0
    """Most pictures a second that are made; a client that asks more often gets the same one again."""
    quality: Annotated[int, Ge(1), Le(100)] = 60
    """JPEG quality."""


class BroadcastSettings(Section):
    """The room's picture and sound to an RTMP server, for an audience without WebRTC."""

    url: SecretStr = SecretStr("")
    """Where to: `rtmp://server/app/key` or `rtmps://…`; an admin may name another one at each start."""
    autostart: bool = True
    """Begin when the server starts, if there is a url."""
    audio_bitrate: Annotated[int, Ge(16), Le(512), Unit("kbit/s")] = 128
    """Bit rate of the sound (AAC)."""


class MicrophoneSettings(Section):
    """What a viewer says, as a microphone of the shared browser."""

    enabled: bool = True
    """Let viewers with the right to share media be heard by pages."""
    device: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$"), Form("a PulseAudio name")] = (
        "audio_input"
    )
    """The PulseAudio sink that gets what they say; the browser's microphone is its monitor."""


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("an even number is needed: colours are kept for two pixels together")
    return value


EvenSize = Annotated[int, Ge(64), Le(1920), AfterValidator(_even), Unit("px")]


class WebcamSettings(Section):
    """A viewer's camera, as a camera of the shared browser: a device of the kernel's v4l2loopback."""

    enabled: bool = False
    """Let viewers with the right to share media be seen by pages."""
    device: RequiredPath = Path("/dev/video0")
    """The device of v4l2loopback that gets their pictures; `browser.user` must be able to read it."""
    width: EvenSize = 1280
    """Width of what pages see, an even number; a picture of another shape has black beside it."""
    height: EvenSize = 720
    """Height of what pages see, an even number."""


class InputSettings(Section):
    """Fingers on the screen."""

    enabled: bool = True
    """Take touches (`touch_events` in `system/init`); they reach pages as touches."""
