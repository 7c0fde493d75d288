"""Answers and offers of a viewer at a whole peer: taken or refused with `SignalError`, and no task fails.

The first byte of an input: even, the rest is an answer to our offer; odd, our offer was answered well
and the rest is an offer of the viewer's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from streamserver.config.settings import SessionSettings
from streamserver.members.profile import MemberProfile
from streamserver.sessions.manager import SessionManager
from streamserver.webrtc.agents import Agents
from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.fan_out import FanOut
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.peer import Peer
from streamserver.webrtc.signaling import AudioRequest, VideoRequest
from streamserver.webrtc.voice import VoiceSlot
from tests.fuzzing.target import OnLoop
from tests.fuzzing.targets import session_description
from tests.webrtc.room import CaptureStandIn, DeskStandIn, HandStream

MAX_LENGTH = session_description.MAX_LENGTH
INSTRUMENTED = (
    "streamserver.webrtc.session_description",
    "streamserver.webrtc.peer",
    "aiortc.sdp",
    "aiortc.rtcpeerconnection",
)


class Silent:
    """A microphone nobody can use."""

    async def open(self) -> object:
        raise RuntimeError("no microphone")


class ViewerPeer:
    """A peer outside of any manager."""

    def __init__(self) -> None:
        self.sessions = SessionManager(SessionSettings())
        profile = MemberProfile(name="ann", can_watch=True, can_share_media=True)
        session = self.sessions.create("ann", profile)[0]
        self.connection = LiteConnection(Agents(), [])
        self.fan_out = FanOut()
        self.video, self.audio = HandStream(), HandStream("audio", "audio", "opus")
        self._ending: list[asyncio.Future[None]] = []
        self.peer = Peer(
            session,
            CaptureStandIn({"main": self.video}, self.audio),
            DeskStandIn(),
            self.connection,
            self.fan_out,
            video=VideoRequest(),
            audio=AudioRequest(),
            moved=lambda _session, _x, _y: None,
            changed=lambda _peer: None,
            spawn=self._spawn,
            voices=VoiceSlot(Silent()),  # type: ignore[arg-type]
        )

    def _spawn(self, work: Awaitable[None]) -> None:
        self._ending.append(asyncio.ensure_future(work))

    async def close(self) -> None:
        self.peer.close("the input is over")
        await asyncio.gather(*self._ending)
        self.fan_out.close()
        self.sessions.shutdown()


class PeerDescriptionTarget(OnLoop):
    """A new peer for each input."""

    def feed(self, data: bytes) -> None:
        self.run(self._feed(data[:1], data[1:].decode("utf-8", "replace")))

    async def _feed(self, mode: bytes, text: str) -> None:
        viewer = ViewerPeer()
        try:
            refusal = ""
            offer = await viewer.peer.offer()
            assert len(offer) < 8192
            try:
                if mode < b"\x01" or mode[0] % 2 == 0:
                    await viewer.peer.set_answer(text)
                else:
                    await viewer.peer.set_answer(session_description.ANSWER)
                    answer = await viewer.peer.handle_offer(text)
                    assert len(answer) <= 8192 + 8 * len(text)
            except SignalError as error:
                refusal = str(error)
            assert len(refusal) < 400
        finally:
            await viewer.close()


def open_target() -> PeerDescriptionTarget:
    return PeerDescriptionTarget()


def seeds() -> dict[str, bytes]:
    descriptions = session_description.seeds()
    answers = {f"taken-as-answer-{name}": b"\0" + sdp for name, sdp in descriptions.items()}
    offers = {f"taken-as-offer-{name}": b"\1" + sdp for name, sdp in descriptions.items()}
    return {**answers, **offers}
