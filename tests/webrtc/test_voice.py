"""A viewer's microphone, over real WebRTC, into a stand-in for the browser's."""

import asyncio
import struct
import time
from fractions import Fraction

import av
import numpy as np
from aiortc import RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from streamserver.members.profile import MemberProfile
from streamserver.webrtc.voice import VoiceSlot
from tests.waiting import until
from tests.webrtc.room import Room, Viewer, open_room


class Tone(AudioStreamTrack):
    """440 Hz, at half volume."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._at = 0

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(max(0.0, self._began + self._at / 48_000 - time.monotonic()))
        times = (np.arange(960) + self._at) / 48_000
        wave = (np.sin(2 * np.pi * 440 * times) * 16_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None, :], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, self._at, Fraction(1, 48_000)
        self._at += 960
        return frame


class Ear:
    """A microphone that remembers."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.opened = self.closed = 0

    async def open(self) -> "Ear":
        self.opened += 1
        return self

    def write(self, samples: bytes) -> None:
        self.heard += samples

    async def close(self) -> None:
        self.closed += 1

    @property
    def loudest(self) -> int:
        count = len(self.heard) // 2
        return max(map(abs, struct.unpack(f"<{count}h", self.heard[: count * 2])), default=0)


async def speak(viewer: Viewer) -> str:
    viewer.pc.addTrack(Tone())
    await viewer.pc.setLocalDescription(await viewer.pc.createOffer())
    answer = await viewer.peer.handle_offer(viewer.pc.localDescription.sdp)
    await viewer.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return answer


def let_share(room: Room, viewer: Viewer, may: bool) -> None:
    profile = viewer.session.profile.merge({"can_share_media": may})
    assert isinstance(profile, MemberProfile)
    room.sessions.update_profile(viewer.session, profile)


async def test_one_who_may_is_heard_and_goes_on_seeing() -> None:
    async with open_room() as room:
        ear = Ear()
        room.manager._voices = VoiceSlot(ear)
        viewer = await room.viewer(room.session("ann"))
        await until(lambda: viewer.pictures, within=20, what="there is a picture")
        let_share(room, viewer, True)
        assert "a=sendrecv" in await speak(viewer)
        await until(lambda: ear.loudest > 8_000, within=20, what="the tone is heard")
        pictures = len(viewer.pictures)
        await until(lambda: len(viewer.pictures) > pictures + 3, within=20, what="the picture goes on")
        let_share(room, viewer, False)
        await until(lambda: ear.closed == 1, within=10, what="nobody listens any more")
        await viewer.close()
    assert ear.opened == 1


async def test_one_who_may_not_is_not_listened_to() -> None:
    async with open_room() as room:
        ear = Ear()
        room.manager._voices = VoiceSlot(ear)
        viewer = await room.viewer(room.session("eve"))
        assert "a=sendrecv" not in await speak(viewer)
        await until(lambda: len(viewer.pictures) > 3, within=20, what="pictures come")
        assert ear.opened == 0
        await viewer.close()
