"""`signal/*`: setting up the WebRTC connection. What the messages mean is the WebRTC room's business."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from streamserver.webrtc.errors import WebRTCError
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from streamserver.websocket.client import Client, Room
from streamserver.websocket.messages import BadMessage, Description, Payload, WireModel, decode
from streamserver.websocket.ports import SignalingPeer

SIGNAL_TIMEOUT = 15.0
"""Seconds that one step of signalling may take; the client's other messages wait for it."""

Handler = Callable[[Room, Client, Payload], Awaitable[None]]


class Request(BaseModel):
    """`signal/request`; the `auto` on top is what clients of before neko v3 say."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    video: VideoRequest = VideoRequest()
    audio: AudioRequest = AudioRequest()
    auto: bool | None = None

    @property
    def wanted_video(self) -> VideoRequest:
        """What is wanted of the picture, with the old `auto` where there is no newer one."""
        if self.video.auto is None and self.auto is not None:
            return self.video.model_copy(update={"auto": self.auto})
        return self.video


class Candidate(WireModel):
    """`signal/candidate`: RTCIceCandidateInit (W3C WebRTC §4.8.1.1)."""

    candidate: str = ""
    sdpMid: str | None = None  # noqa: N815 (the W3C's names)
    sdpMLineIndex: int | None = None  # noqa: N815
    usernameFragment: str | None = None  # noqa: N815


async def request(room: Room, client: Client, payload: Payload) -> None:
    """`signal/request`: make a connection and offer it."""
    wanted = decode(Request, _without_nulls(payload))
    if not client.session.profile.can_watch:
        client.complain("picture and sound refused: the profile has no can_watch")
        return
    provide = await room.webrtc.create_peer(client.session, video=wanted.wanted_video, audio=wanted.audio)
    client.socket.send("signal/provide", provide.model_dump(mode="json", exclude_none=True))
    client.socket.send("signal/video", provide.video.model_dump(mode="json"))
    client.socket.send("signal/audio", provide.audio.model_dump(mode="json"))


async def restart(room: Room, client: Client, payload: Payload) -> None:
    """`signal/restart`: offer again, with a restart of ICE."""
    if (peer := _peer(client)) is not None:
        client.socket.send("signal/restart", {"sdp": await peer.restart()})


async def offer(room: Room, client: Client, payload: Payload) -> None:
    """`signal/offer`: the client changes what it sends or takes."""
    description = decode(Description, payload)
    if (peer := _peer(client)) is not None:
        client.socket.send("signal/answer", {"sdp": await peer.handle_offer(description.sdp)})


async def answer(room: Room, client: Client, payload: Payload) -> None:
    """`signal/answer`: the client's answer to our offer."""
    description = decode(Description, payload)
    if (peer := _peer(client)) is not None:
        await peer.set_answer(description.sdp)


async def candidate(room: Room, client: Client, payload: Payload) -> None:
    """`signal/candidate`: one of the client's addresses."""
    init = decode(Candidate, payload)
    if (peer := _peer(client)) is not None:
        peer.add_candidate(init.model_dump(mode="json"))


async def video(room: Room, client: Client, payload: Payload) -> None:
    """`signal/video`: another picture, or none."""
    wanted = decode(VideoRequest, _without_nulls(payload))
    if (peer := _peer(client)) is not None and (status := peer.set_video(wanted)) is not None:
        client.socket.send("signal/video", status.model_dump(mode="json"))


async def audio(room: Room, client: Client, payload: Payload) -> None:
    """`signal/audio`: sound or none."""
    wanted = decode(AudioRequest, _without_nulls(payload))
    if (peer := _peer(client)) is not None and (status := peer.set_audio(wanted)) is not None:
        client.socket.send("signal/audio", status.model_dump(mode="json"))


def _peer(client: Client) -> SignalingPeer | None:
    media = client.session.media
    if isinstance(media, SignalingPeer):
        return media
    client.note("signalling without a WebRTC connection")
    return None


def _without_nulls(payload: Payload) -> Payload:
    """Return the payload as Go reads it: null is the same as not there, at every level."""
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        return payload

    def drop(value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {key: drop(item) for key, item in value.items() if item is not None}
        return value

    return {key: drop(item) for key, item in payload.items() if item is not None}


def _bounded(handle: Handler) -> Handler:
    """Give the step a deadline, and make bad SDP a bad message."""

    async def bounded(room: Room, client: Client, payload: Payload) -> None:
        try:
            async with asyncio.timeout(SIGNAL_TIMEOUT):
                await handle(room, client, payload)
        except TimeoutError:
            client.complain("signalling took too long", timeout=SIGNAL_TIMEOUT)
        except (WebRTCError, ValidationError) as error:
            raise BadMessage(str(error)[:200]) from error

    return bounded


HANDLERS: Mapping[str, Handler] = {
    event: _bounded(handle)
    for event, handle in {
        "signal/request": request,
        "signal/restart": restart,
        "signal/offer": offer,
        "signal/answer": answer,
        "signal/candidate": candidate,
        "signal/video": video,
        "signal/audio": audio,
    }.items()
}
"""Each event and what it does."""
