"""Changing between encodes of one picture, as a viewer sees it on the wire."""

from __future__ import annotations

import random
import struct
from itertools import pairwise

import pytest

from streamserver.capture.frames import VIDEO_CLOCK_RATE
from streamserver.config.media_settings import EstimatorSettings, WebRTCSettings
from streamserver.sessions.model import Message
from streamserver.webrtc.signaling import AudioRequest, VideoRequest, VideoSelector
from tests.waiting import until
from tests.webrtc.room import SyntheticVideo, Viewer, open_room

PICTURE = 102
STAP_A, PARAMETER_SET = 24, 7


def video_packets(viewer: Viewer) -> list[bytes]:
    return [packet for packet in viewer.rtp if packet[1] & 0x7F == PICTURE]


def payload(packet: bytes) -> bytes:
    words = struct.unpack_from("!H", packet, 14)[0] if packet[0] & 0x10 else -1
    return packet[12 + 4 * (words + 1) :]


def begins_a_key_frame(data: bytes) -> bool:
    return data[0] & 31 == STAP_A and data[3] & 31 == PARAMETER_SET


async def test_changing_the_quality_keeps_one_stream_on_the_wire() -> None:
    full, low = SyntheticVideo(), SyntheticVideo(160, 120, "low", 400_000)
    async with open_room(None, full, low) as room:
        viewer = await room.viewer(room.session("bob"))
        await until(lambda: len(viewer.pictures) > 5, within=10, what="the picture is there")
        assert not low.places
        status = viewer.peer.set_video(VideoRequest(selector=VideoSelector(id="low")))
        assert status is not None
        assert (status.id, status.video) == ("low", "low")
        await until(lambda: viewer.pictures[-1].width == 160, within=10, what="the lower quality")
        assert not full.places
        status = viewer.peer.set_video(VideoRequest(selector=VideoSelector(type="higher", id="low")))
        assert status is not None
        assert status.id == "main"
        await until(lambda: viewer.pictures[-1].width == 320, within=10, what="the full quality")
        assert not low.places
        packets = video_packets(viewer)
        await viewer.close()
    assert len({packet[8:12] for packet in packets}) == 1, "one SSRC"
    numbers = [struct.unpack_from("!H", packet, 2)[0] for packet in packets]
    assert {(after - before) & 0xFFFF for before, after in pairwise(numbers)} == {1}
    times = [struct.unpack_from("!I", packet, 4)[0] for packet in packets]
    steps = [(after - before) & 0xFFFFFFFF for before, after in pairwise(times)]
    assert max(steps) < VIDEO_CLOCK_RATE / 2, "time goes on, never backwards"
    # it begins thrice with a key frame, and none was needed in between
    assert sum(begins_a_key_frame(payload(packet)) for packet in packets) == 3


async def test_a_quality_that_does_not_exist_changes_nothing() -> None:
    async with open_room(None, SyntheticVideo(), SyntheticVideo(160, 120, "low", 400_000)) as room:
        viewer = await room.viewer(room.session("bob"))
        for selector in (
            VideoSelector(id="best"),
            VideoSelector(type="lower", id="low"),
            VideoSelector(bitrate=7),
        ):
            assert viewer.peer.set_video(VideoRequest(selector=selector)) is None
        assert room.manager.video_ids == ["main", "low"]
        await viewer.close()


class Recorder:
    """The socket of a session: keeps what it is told about the picture."""

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []

    def send(self, event: str, payload: object = None) -> None:
        if event == "signal/video":
            assert isinstance(payload, dict)
            self.told.append(payload)

    def pass_on(self, message: Message) -> None:
        self.send(message.event, message.payload)

    def close(self, reason: str) -> None:
        pass


async def test_a_network_that_loses_much_gets_less_and_the_viewer_is_told() -> None:
    chance = random.Random(1)
    async with open_room(None, SyntheticVideo(), SyntheticVideo(160, 120, "low", 400_000)) as room:
        bob, socket = room.session("bob"), Recorder()
        await room.sessions.connect(bob, socket)
        viewer = await room.viewer(bob)
        assert viewer.provide.video.auto
        await until(lambda: len(viewer.pictures) > 30, within=10, what="the picture is there")
        viewer.lose = lambda data: data[0] >> 6 == 2 and chance.random() < 0.4
        await until(lambda: socket.told, within=15, what="the quality changes")
        assert socket.told[0] == {
            "disabled": False,
            "id": "low",
            "video": "low",
            "auto": True,
            "paused": False,
        }
        viewer.lose = lambda _data: False
        await until(lambda: socket.told[-1]["id"] == "main", within=15, what="it changes back")
        await viewer.close()


async def test_who_chose_a_quality_keeps_it_until_asking_for_auto() -> None:
    chance = random.Random(1)
    async with open_room(None, SyntheticVideo(), SyntheticVideo(160, 120, "low", 400_000)) as room:
        bob, socket = room.session("bob"), Recorder()
        await room.sessions.connect(bob, socket)
        viewer = await room.viewer(bob)
        status = viewer.peer.set_video(VideoRequest(selector=VideoSelector(id="main")))
        assert status is not None
        assert not status.auto
        viewer.lose = lambda data: data[0] >> 6 == 2 and chance.random() < 0.4
        await until(lambda: viewer.peer.video.reports.nacks > 40, within=15, what="loss is seen")
        assert socket.told == []
        status = viewer.peer.set_video(VideoRequest(auto=True))
        assert status is not None
        assert status.auto
        await until(lambda: socket.told, within=15, what="the quality changes")
        await viewer.close()


async def test_auto_can_be_forbidden() -> None:
    for estimator in (EstimatorSettings(enabled=False), EstimatorSettings(passive=True)):
        settings = WebRTCSettings(udpmux=0, tcpmux=0, estimator=estimator)
        async with open_room(settings) as room:
            provide = await room.manager.create_peer(
                room.session("bob"), VideoRequest(auto=True), AudioRequest()
            )
            assert not provide.video.auto


async def test_what_a_viewer_s_picture_is_like_is_known_until_the_session_ends() -> None:
    async with open_room(None, SyntheticVideo(), SyntheticVideo(160, 120, "low", 400_000)) as room:
        bob = room.session("bob")
        viewer = await room.viewer(bob)
        await until(lambda: viewer.peer.statistics().bitrate, within=10, what="the first second is over")
        await until(lambda: viewer.peer.statistics().round_trip, within=10, what="a report came")
        await until(lambda: viewer.peer.statistics().frames >= 20, within=10, what="pictures are counted")
        figures = viewer.peer.statistics()
        assert (figures.video, figures.auto, figures.paused) == ("main", True, False)
        assert figures.bitrate_limit == 2_500_000
        assert figures.packets >= figures.frames
        assert figures.packets_lost == figures.frames_dropped == 0
        assert room.metric("catnap_webrtc_video_bitrate", session_id="bob") == pytest.approx(
            viewer.peer.bitrate
        )
        sent = room.metric("catnap_webrtc_frames_sent", session_id="bob")
        assert sent is not None
        assert sent >= figures.frames
        assert room.metric("neko_webrtc_video_listeners", session_id="bob", video_id="main") == 1
        await viewer.close()
        room.sessions.delete(bob.id)
        for name in ("video_bitrate", "video_paused", "frames_sent", "frames_dropped"):
            assert room.metric(f"catnap_webrtc_{name}", session_id="bob") is None
