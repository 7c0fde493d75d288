"""A viewer's camera, over real WebRTC, into a stand-in for the browser's: the device is the kernel's."""

import asyncio
from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc import RTCSessionDescription
from aiortc.mediastreams import VideoStreamTrack

from streamserver.members.profile import MemberProfile
from streamserver.webrtc.sight import BLACK, SightSlot, fit
from tests.waiting import until
from tests.webrtc.room import Room, Viewer, open_room

LIGHT, DARK = 200, 40


class Scene(VideoStreamTrack):
    """A picture of two halves: light on the left, dark on the right."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = scene(640, 360)
        frame.pts, frame.time_base = pts, time_base
        return frame


def scene(width: int, height: int) -> av.VideoFrame:
    """Return such a picture."""
    luma = np.full((height, width), LIGHT, np.uint8)
    luma[:, width // 2 :] = DARK
    colour = np.full((height // 2, width), 128, np.uint8)
    frame = av.VideoFrame.from_ndarray(np.vstack([luma, colour]), format="yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, 90_000)
    return frame


class Eye:
    """A camera that remembers the last picture."""

    width, height = 320, 240

    def __init__(self) -> None:
        self.pictures: list[bytes] = []
        self.opened = self.closed = 0

    def open(self) -> "Eye":
        self.opened += 1
        return self

    def write(self, picture: bytes) -> None:
        self.pictures = [*self.pictures[-2:], picture]

    def close(self) -> None:
        self.closed += 1

    def brightness(self, x: int, y: int) -> int:
        """Return the brightness of a pixel of the last picture; -1 for none."""
        return self.pictures[-1][y * self.width + x] if self.pictures else -1


async def show(viewer: Viewer) -> str:
    viewer.pc.addTrack(Scene())
    await viewer.pc.setLocalDescription(await viewer.pc.createOffer())
    answer = await viewer.peer.handle_offer(viewer.pc.localDescription.sdp)
    await viewer.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return answer.partition("m=video")[2]


def let_share(room: Room, viewer: Viewer, may: bool) -> None:
    profile = viewer.session.profile.merge({"can_share_media": may})
    assert isinstance(profile, MemberProfile)
    room.sessions.update_profile(viewer.session, profile)


async def test_one_who_may_is_seen_and_goes_on_seeing() -> None:
    async with open_room() as room:
        eye = Eye()
        room.manager._sights = SightSlot(eye)
        viewer = await room.viewer(room.session("ann"))
        await until(lambda: viewer.pictures, within=20, what="there is a picture")
        let_share(room, viewer, True)
        assert "a=sendrecv" in await show(viewer)
        await until(lambda: abs(eye.brightness(80, 120) - LIGHT) < 10, within=20, what="the scene is seen")
        assert abs(eye.brightness(240, 120) - DARK) < 10
        assert eye.brightness(80, 10) == BLACK[0], "its shape is kept"
        pictures = len(viewer.pictures)
        await until(lambda: len(viewer.pictures) > pictures + 3, within=20, what="the picture goes on")
        let_share(room, viewer, False)
        await until(lambda: eye.closed == 1, within=10, what="nobody looks any more")
        await viewer.close()
    assert eye.opened == 1


async def negotiate(viewer: Viewer) -> None:
    await viewer.pc.setLocalDescription(await viewer.pc.createOffer())
    answer = await viewer.peer.handle_offer(viewer.pc.localDescription.sdp)
    await viewer.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))


async def test_the_last_who_shows_themselves_is_seen_also_for_the_second_time() -> None:
    async with open_room() as room:
        eye = Eye()
        slot = room.manager._sights = SightSlot(eye)
        ann, bob = await room.viewer(room.session("ann")), await room.viewer(room.session("bob"))
        await until(lambda: ann.pictures and bob.pictures, within=20, what="there are pictures")
        for viewer in (ann, bob):
            let_share(room, viewer, True)
            eye.pictures = []
            await show(viewer)
            assert slot.shown is viewer.session
            await until(lambda: eye.pictures, within=20, what="they are seen")
        eye.pictures = []
        video = next(one for one in ann.pc.getTransceivers() if one.kind == "video")
        for direction in ("recvonly", "sendrecv"):
            video.direction = direction
            await negotiate(ann)
        assert slot.shown is ann.session
        await until(lambda: eye.opened == 3, within=20, what="she is seen again")
        await ann.close()
        await bob.close()


async def test_one_who_may_not_is_not_looked_at() -> None:
    async with open_room() as room:
        eye = Eye()
        room.manager._sights = SightSlot(eye)
        viewer = await room.viewer(room.session("eve"))
        assert "a=sendrecv" not in await show(viewer)
        await until(lambda: len(viewer.pictures) > 3, within=20, what="pictures come")
        assert eye.opened == 0
        await viewer.close()


async def test_a_camera_that_is_gone_hurts_nobody() -> None:
    class Gone(Eye):
        def open(self) -> Eye:
            self.opened += 1
            raise OSError("no such device")

    async with open_room() as room:
        eye = Gone()
        room.manager._sights = SightSlot(eye)
        viewer = await room.viewer(room.session("ann"))
        await until(lambda: viewer.pictures, within=20, what="there is a picture")
        let_share(room, viewer, True)
        await show(viewer)
        await until(lambda: eye.opened, within=20, what="it is tried")
        pictures = len(viewer.pictures)
        await until(lambda: len(viewer.pictures) > pictures + 3, within=20, what="the picture goes on")
        await viewer.close()
    await asyncio.sleep(0)
    assert eye.closed == 0


@pytest.mark.parametrize(
    ("width", "height"), [(640, 360), (360, 640), (1920, 1080), (64, 64), (2, 2), (1920, 2)]
)
def test_any_picture_fits(width: int, height: int) -> None:
    for camera_width, camera_height in ((320, 240), (1280, 720), (64, 1080)):
        picture = fit(scene(width, height), camera_width, camera_height)
        assert len(picture) == camera_width * camera_height * 3 // 2
