"""What we change in aiortc's offers and answers, and what we read in those of viewers.

aiortc numbers payload types in its own way and names streams at random; neko's clients know other numbers,
and show the sound of the stream that has the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiortc.rtcrtpparameters import (
    RTCRtcpFeedback,
    RTCRtpCodecCapability,
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
)
from aiortc.sdp import MediaDescription, SessionDescription

from .errors import SignalError

STREAM_ID = "stream"
"""Picture and sound are tracks of this one MediaStream."""

H264 = RTCRtpCodecCapability(
    mimeType="video/H264",
    clockRate=90_000,
    parameters={"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "42e01f"},
)
RTX = RTCRtpCodecCapability(mimeType="video/rtx", clockRate=90_000)
"""Lost packets sent again in a stream of their own (RFC 4588)."""

OPUS = RTCRtpCodecCapability(mimeType="audio/opus", clockRate=48_000, channels=2)

H264_PAYLOAD_TYPE = 102
RTX_PAYLOAD_TYPE = 103
OPUS_PAYLOAD_TYPE = 111
_OPUS_PARAMETERS: dict[str, int | str | None] = {"useinbandfec": "1", "stereo": "1"}

PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
PLAYOUT_DELAY_ID = 5
"""The id in our offers; aiortc uses 1 to 3."""

MAX_DESCRIPTION_SIZE = 64 * 1024
"""Characters; a browser's description has some 6,000."""

MAX_MEDIA_SECTIONS = 8
"""A viewer that offers more than this is not sharing a microphone."""


def complete_offer(sdp: str) -> str:
    """Give an offer of aiortc's our payload types, stream and header extensions."""
    description = SessionDescription.parse(sdp)
    for media in description.media:
        if media.kind == "video":
            _use_payload_type(media, H264_PAYLOAD_TYPE)
            for codec in (codec for codec in media.rtp.codecs if not _is_rtx(codec)):
                codec.rtcpFeedback.append(RTCRtcpFeedback(type="ccm", parameter="fir"))
            media.rtp.headerExtensions.append(
                RTCRtpHeaderExtensionParameters(id=PLAYOUT_DELAY_ID, uri=PLAYOUT_DELAY_URI)
            )
        elif media.kind == "audio":
            _use_payload_type(media, OPUS_PAYLOAD_TYPE)
        _name_stream(media)
    return str(description)


def complete_answer(sdp: str) -> str:
    """Give an answer of aiortc's our stream; its payload types are the viewer's."""
    description = SessionDescription.parse(sdp)
    for media in description.media:
        _name_stream(media)
    return str(description)


def _name_stream(media: MediaDescription) -> None:
    if media.kind in ("audio", "video") and media.msid is not None:
        media.msid = f"{STREAM_ID} {media.kind}"
    for codec in media.rtp.codecs:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters = dict(_OPUS_PARAMETERS)


def _use_payload_type(media: MediaDescription, payload_type: int) -> None:
    for codec in media.rtp.codecs:  # setCodecPreferences left one, and its retransmissions
        if _is_rtx(codec):
            codec.payloadType = RTX_PAYLOAD_TYPE
            codec.parameters = {"apt": payload_type}
        else:
            codec.payloadType = payload_type
    media.fmt = [codec.payloadType for codec in media.rtp.codecs]


def _is_rtx(codec: RTCRtpCodecParameters) -> bool:
    return bool(codec.name.lower() == "rtx")


@dataclass(frozen=True, slots=True)
class RemoteDescription:
    """The parts of a viewer's description that aiortc does not hand out.

    `playout_delay_id` is None when the viewer does not want that header extension.
    """

    ice_username: str
    ice_password: str
    playout_delay_id: int | None


def read_remote(sdp: str, *, is_answer: bool) -> RemoteDescription:
    """Check a viewer's description for all that aiortc would stumble over later, where nobody could be told.

    Raises:
        SignalError: it cannot be used; the message says why.
    """
    what = "answer" if is_answer else "offer"
    if len(sdp) > MAX_DESCRIPTION_SIZE:
        raise SignalError(f"the {what} has {len(sdp)} characters; {MAX_DESCRIPTION_SIZE} are possible")
    try:
        description = SessionDescription.parse(sdp)
    except Exception as error:  # the parser meets junk with exceptions of many kinds
        raise SignalError(f"the {what} is not a session description ({type(error).__name__})") from error
    if not description.media:
        raise SignalError(f"the {what} has no media sections")
    if len(description.media) > MAX_MEDIA_SECTIONS:
        raise SignalError(
            f"the {what} has {len(description.media)} media sections; {MAX_MEDIA_SECTIONS} are possible"
        )
    (username, password), *_ = [_credentials(media, what) for media in description.media]
    delay = next(
        (
            extension.id
            for media in description.media
            if media.kind == "video"
            for extension in media.rtp.headerExtensions
            if extension.uri == PLAYOUT_DELAY_URI and 1 <= extension.id <= 14
        ),
        None,
    )
    return RemoteDescription(username, password, delay)


def _credentials(media: MediaDescription, what: str) -> tuple[str, str]:
    """Check one section; return its ICE user name fragment and password."""
    section = f"the {what}'s {media.kind[:16]} section"
    if media.kind not in ("audio", "video", "application"):
        raise SignalError(f"{section} is of a kind we do not know")
    if media.ice is None or not media.ice.usernameFragment or not media.ice.password:
        raise SignalError(f"{section} lacks ICE credentials")
    if media.dtls is None or not media.dtls.fingerprints:
        raise SignalError(f"{section} lacks a DTLS fingerprint or role")
    if media.kind == "application" and (media.sctp_port is None or not 0 < media.sctp_port < 65536):
        raise SignalError(f"{section} lacks an SCTP port")
    return media.ice.usernameFragment, media.ice.password
