"""The settings of the desktop, the browser, capture and WebRTC."""

import os
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import Field, JsonValue, SecretStr, field_validator

from streamserver.config.section import Section
from streamserver.config.sharing_settings import (
    BroadcastSettings,
    InputSettings,
    MicrophoneSettings,
    ScreencastSettings,
    WebcamSettings,
)
from streamserver.config.types import (
    ByteSize,
    DefaultText,
    Form,
    HttpUrl,
    IpAddress,
    OptionalPorts,
    Screen,
    ScreenSize,
    Unit,
)


def default_user() -> str:
    """Return the account of the desktop: `catnap` when we are root, else our own (empty)."""
    return "catnap" if os.geteuid() == 0 else ""


class DesktopSettings(Section):
    """The X display that is shared."""

    display: Annotated[str, Form("an X display such as :99, or nothing")] = ""
    """X display to attach to; empty: start one of our own."""
    screen: Screen = ScreenSize(1280, 720, 30)
    """Size and rate of the screen at start."""
    max_screen: Screen = ScreenSize(3840, 2160, 30)
    """Largest size an admin can choose while it runs (the rate in it means nothing)."""
    input: InputSettings = InputSettings()
    upload_drop: bool = True
    """Let viewers drop files of theirs on pages (`POST /api/room/upload/drop`)."""
    file_chooser_dialog: bool = False
    """Ask viewers for files when a page does (`POST /api/room/upload/dialog`), in its dialog's place."""
    max_upload_size: Annotated[ByteSize, Ge(1024), Le(4 * 1024 * 1024 * 1024)] = 100 * 1024 * 1024
    """Largest request that brings files for a page; a larger one is answered with 413."""


class BrowserSettings(Section):
    """The browser that is shared."""

    command: Annotated[str, Field(min_length=1), Form("a program, by name or path")] = "chromium"
    """The browser's program: Chromium or one that takes the same options."""
    url: str = "about:blank"
    """Page that is opened at start."""
    user: Annotated[str, DefaultText("catnap; without root the user who starts the server")] = Field(
        default_factory=default_user
    )
    """Account that X server, sound and browser run as; empty: our own."""
    profile_dir: Annotated[
        Path | None, Form("a path"), DefaultText(".local/share/catnap/profile in the home of browser.user")
    ] = None
    """Directory of the browser's profile (history, cookies, log-ins); it is kept."""
    flags: tuple[str, ...] = ()
    """Further command-line flags for the browser."""
    sandbox: bool = True
    """Run the browser with its sandbox; turn it off only where user namespaces are forbidden."""

    @field_validator("profile_dir", mode="before")
    @classmethod
    def _no_profile_dir(cls, value: object) -> object:
        return None if value == "" else value


class PipelineSettings(Section):
    """One quality of the picture, as neko writes it. Numbers, or arithmetic with width, height, fps, round().

    Our encoder makes it: of the GStreamer parts the bitrate and the rate are read, nothing else.
    """

    width: str | float | None = None
    height: str | float | None = None
    fps: str | float | None = None
    bitrate: str | float | None = None
    """kbit/s at most."""
    codec: Literal["h264", "vp8", "vp9", "av1"] | None = None
    """Only h264 is encoded for now."""
    gst_prefix: str = ""
    gst_encoder: str = ""
    gst_params: dict[str, JsonValue] = Field(default_factory=dict)
    gst_suffix: str = ""
    gst_pipeline: str = ""
    show_pointer: bool = False
    """Draw the pointer into the picture, for viewers who do not draw it themselves."""


class VideoSettings(Section):
    """Pixels in, H.264 out."""

    display: Annotated[str, Form("an X display such as :99, or nothing")] = ""
    """X display to capture; empty: the desktop's."""
    codec: Literal["h264", "vp8", "vp9", "av1"] = "h264"
    """Video codec. Only h264 is encoded for now."""
    ids: tuple[str, ...] = ()
    """The qualities that viewers can choose among, best first; empty: all pipelines in their order."""
    pipelines: Annotated[
        dict[str, PipelineSettings],
        Form("a map from name to quality such as {low: {fps: fps/2, bitrate: 400, width: width/2}}"),
    ] = Field(default_factory=dict)
    """The qualities of the picture; empty: `main` (fps and bitrate below), `medium` (1000 kbit/s) and `low`
    (400 kbit/s), both at half the rate. What a quality leaves out is that of `capture.video`.
    """
    pipeline: str = ""
    """A GStreamer pipeline of neko's. Not run: a warning shows what to set here in its place."""
    fps: Annotated[int, Ge(1), Le(120), Unit("frames/s")] = 30
    """Most frames a second that are captured."""
    bitrate: Annotated[int, Ge(50), Le(100_000), Unit("kbit/s")] = 2500
    """Most that the video may use, per viewer, in kbit/s."""


class AudioSettings(Section):
    """Sound in, Opus out."""

    device: str = "audio_output.monitor"
    """PulseAudio source that is captured."""
    codec: Literal["opus", "g722", "pcmu", "pcma"] = "opus"
    """Audio codec. Only opus is encoded for now."""
    bitrate: Annotated[int, Ge(6), Le(510), Unit("kbit/s")] = 128
    """Most that the sound may use, per viewer, in kbit/s."""
    pipeline: str = ""
    """A GStreamer pipeline of neko's. Not run: a warning shows what to set here in its place."""


class CaptureSettings(Section):
    """What is captured and how it is encoded."""

    video: VideoSettings = VideoSettings()
    audio: AudioSettings = AudioSettings()
    screencast: ScreencastSettings = ScreencastSettings()
    broadcast: BroadcastSettings = BroadcastSettings()
    microphone: MicrophoneSettings = MicrophoneSettings()
    webcam: WebcamSettings = WebcamSettings()


class IceServer(Section):
    """A STUN or TURN server."""

    urls: tuple[str, ...]
    username: str = ""
    credential: SecretStr = SecretStr("")

    @field_validator("urls", mode="before")
    @classmethod
    def _one_url(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _schemes(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("stun:", "stuns:", "turn:", "turns:")):
                raise ValueError(f"{url!r} does not begin with stun:, stuns:, turn: or turns:")
        return urls


IceServerList = Annotated[
    tuple[IceServer, ...], Form('a list such as [{"urls": ["stun:stun.example.org:3478"]}]')
]


class IceServersSettings(Section):
    """STUN and TURN servers; a plain list in place of the two keys means both."""

    frontend: IceServerList = ()
    """STUN and TURN servers that viewers are told to use."""
    backend: IceServerList = ()
    """STUN and TURN servers for the server itself, when `webrtc.icelite` is off."""


class EstimatorSettings(Section):
    """Whether the picture's quality follows each viewer's network."""

    enabled: bool = True
    """Give viewers that did not choose a quality the best one that their network takes (neko: off)."""
    passive: bool = False
    """Do not act on it: viewers get the quality they ask for, else the best."""


class WhipSettings(Section):
    """The room's picture and sound to a media server, for an audience larger than one machine's (WHIP, RFC
    9725)."""

    url: HttpUrl = ""
    """WHIP endpoint to publish to from the start on; an admin may name another one at each start."""
    token: SecretStr = SecretStr("")
    """Bearer token for it; empty: none."""
    video: str = ""
    """Which of `capture.video.pipelines` is published, such as one with show_pointer; empty: the best."""


class WebRTCSettings(Section):
    """How viewers reach the media."""

    icelite: bool = True
    """ICE-lite: viewers connect to the one UDP port. Off: full ICE, for a server behind a NAT without a
    forwarded port; each viewer has UDP ports of its own then (neko: off)."""
    icetrickle: bool = True
    """Send address candidates one by one. With ICE-lite they are in the offer, whatever is set."""
    iceservers: IceServersSettings = IceServersSettings()
    udpmux: Annotated[int, Ge(0), Le(65535)] = 59000
    """UDP port for the media of all viewers; 0 is any free one."""
    tcpmux: Annotated[
        int | None,
        Ge(0),
        Le(65535),
        Form("a whole number"),
        DefaultText("the number of webrtc.udpmux"),
    ] = None
    """TCP port for viewers whose network blocks UDP; 0: none."""
    epr: OptionalPorts = None
    """UDP ports for viewers when `webrtc.icelite` is off; empty: any free ones."""
    estimator: EstimatorSettings = EstimatorSettings()
    nat1to1: tuple[IpAddress, ...] = ()
    """Addresses under which viewers reach this server, when they are not those of its interfaces."""
    ip_retrieval_url: HttpUrl = ""
    """Page that shows our public address as plain text, asked at start; viewers are told it beside the
    others. Not asked when `webrtc.nat1to1` is set. neko asks https://checkip.amazonaws.com if nothing is
    set."""
    whip: WhipSettings = WhipSettings()
