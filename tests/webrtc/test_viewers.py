"""aiortc's client over loopback against our manager: picture, sound, data channel, and what goes wrong."""

from __future__ import annotations

import asyncio
import re
import struct
import time
from collections import Counter
from functools import partial

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcsctptransport import DataChunk
from aiortc.rtp import RTCP_PSFB_FIR, RtcpPacket, RtcpPsfbPacket, RtcpSrPacket, unpack_header_extensions

from streamserver.capture.frames import AUDIO_CLOCK_RATE, VIDEO_CLOCK_RATE
from streamserver.config.media_settings import WebRTCSettings
from streamserver.webrtc import consent, ice_lite
from streamserver.webrtc import peer as peer_module
from streamserver.webrtc.consent import Freshness, Stop
from streamserver.webrtc.data_channel import Button, Key, Move, Ping, Scroll
from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.manager import WebRTCManager
from streamserver.webrtc.peer import PeerState
from streamserver.webrtc.signaling import AudioRequest, VideoRequest, VideoSelector
from tests.waiting import until
from tests.webrtc.nat import Nat
from tests.webrtc.room import Arrow, Room, SyntheticVideo, Viewer, lite, open_room, peer_of

CURSOR_IMAGE = b"\x02" + struct.pack("!HHHHH", 11 + len(Arrow().png), 16, 24, 1, 2) + Arrow().png
CLOCK_RATES = {102: VIDEO_CLOCK_RATE, 111: AUDIO_CLOCK_RATE}
CURSOR_POSITION = b"\x01\x00\x07" + struct.pack("!HH", 30, 40)


async def test_picture_sound_and_data_channel(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    await until(lambda: len(viewer.pictures) > 5 and viewer.sounds > 5, within=10, what="media is decoded")
    assert (viewer.pictures[0].width, viewer.pictures[0].height) == (320, 240)
    assert bob.is_watching
    assert peer_of(bob).alive
    # the first picture needed no second key frame: none was lost before the viewer could decrypt
    video = room.video
    assert (video.keyframe_requests, video.subscriptions) == (0, 1)
    await until(lambda: viewer.messages[:2] == [CURSOR_IMAGE, CURSOR_POSITION], within=5, what="the pointer")
    viewer.send(Ping(3, 4))
    await until(
        lambda: viewer.messages[-1][:11] == b"\x03\x00\x13" + struct.pack("!II", 3, 4), within=5, what="pong"
    )
    await viewer.close()
    await until(lambda: bob.media is None, within=5, what="the peer ends at a goodbye", exactly=True)
    assert not bob.state.is_watching
    assert not video.places


async def test_the_offer_is_neko_s(room: Room) -> None:
    provide = await room.manager.create_peer(room.session("bob"), VideoRequest(), AudioRequest())
    lines = provide.sdp.split("\r\n")
    assert [line.split()[0] for line in lines if line.startswith("m=")] == [
        "m=audio",
        "m=video",
        "m=application",
    ]
    assert [line for line in lines if line.startswith("a=mid:")] == ["a=mid:0", "a=mid:1", "a=mid:2"]
    assert [line for line in lines if line.startswith("a=msid:")] == [
        "a=msid:stream audio",
        "a=msid:stream video",
    ]
    assert [line for line in lines if line.startswith("a=rtpmap")] == [
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:102 H264/90000",
        "a=rtpmap:103 rtx/90000",
    ]
    assert [line for line in lines if line.startswith("a=fmtp")] == [
        "a=fmtp:111 useinbandfec=1;stereo=1",
        "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        "a=fmtp:103 apt=102",
    ]
    assert sum(line.startswith("a=ssrc-group:FID ") for line in lines) == 1
    assert "a=ice-lite" in lines
    assert sum(line == "a=setup:actpass" for line in lines) == 3
    assert f"127.0.0.1 {room.manager.port} typ host" in provide.sdp
    assert provide.model_dump(exclude_none=True) | {"sdp": ""} == {
        "sdp": "",
        "iceservers": [],
        "video": {"disabled": False, "id": "main", "video": "main", "auto": True, "paused": False},
        "audio": {"disabled": False},
    }


async def test_settings_say_which_addresses_and_servers_viewers_are_told() -> None:
    settings = WebRTCSettings.model_validate(
        {
            "udpmux": 0,
            "nat1to1": ["203.0.113.9"],
            "iceservers": {"frontend": [{"urls": ["turn:t.example"], "username": "u", "credential": "c"}]},
        }
    )
    async with open_room(settings) as room:
        provide = await room.manager.create_peer(room.session("bob"), VideoRequest(), AudioRequest())
        candidates = list(
            dict.fromkeys(line for line in provide.sdp.split("\r\n") if line.startswith("a=candidate"))
        )
        assert [line.split()[2] for line in candidates] == ["udp", "tcp"]
        assert all(f" 203.0.113.9 {room.manager.port} typ host" in line for line in candidates)
        assert provide.model_dump(exclude_none=True)["iceservers"] == [
            {"urls": ["turn:t.example"], "username": "u", "credential": "c"}
        ]


def shows_width_99(viewer: Viewer) -> bool:
    return viewer.messages[-1][3:5] == b"\x00\x63"


async def test_two_viewers_share_one_stream_and_see_the_controller_s_pointer(room: Room) -> None:
    alice, bob = room.session("alice"), room.session("bob")
    first, second = await room.viewer(alice), await room.viewer(bob)
    await until(lambda: first.pictures and second.pictures, within=10, what="both see the picture")
    second.send(Move(9, 9))
    second.send(Key(0x61, down=True))
    room.sessions.set_controller(alice, alice)
    first.send(Move(640, 360))
    first.send(Scroll(0, 3, control_key=True))
    first.send(Key(0xFF0D, down=True))
    first.send(Key(0xFF0D, down=False))
    first.send(Button(1, down=True))
    first.send(Button(1, down=False))
    await until(lambda: len(room.desk.input.calls) == 6, within=5, what="the controller's input arrives")
    assert room.desk.input.calls == [
        ("move", (640, 360)),
        ("scroll", (0, 3, True)),
        ("key_down", (0xFF0D,)),
        ("key_up", (0xFF0D,)),
        ("button_down", (1,)),
        ("button_up", (1,)),
    ]
    position = b"\x01\x00\x07" + struct.pack("!HH", 640, 360)
    await until(lambda: position in second.messages, within=5, what="the other sees the pointer")
    assert position not in first.messages
    room.manager.cursor_moved(bob, 1, 2)
    await until(lambda: first.messages[-1] == b"\x01\x00\x07\x00\x01\x00\x02", within=5, what="bob's pointer")
    room.desk.change_cursor(Arrow(width=99))
    for viewer in (first, second):
        await until(partial(shows_width_99, viewer), within=5, what="the new look arrives")
        await viewer.close()


@pytest.mark.alone
async def test_a_fast_mouse_is_shown_at_a_bounded_rate(room: Room) -> None:
    alice, bob = room.session("alice"), room.session("bob")
    first, second = await room.viewer(alice), await room.viewer(bob)
    room.sessions.set_controller(alice, alice)
    for x in range(600):
        first.send(Move(x, 7))
    await until(lambda: len(room.desk.input.calls) == 600, within=10, what="every move is made")
    last = b"\x01\x00\x07" + struct.pack("!HH", 599, 7)
    await until(lambda: second.messages[-1] == last, within=5, what="the last position is shown")
    assert sum(message[0] == 1 for message in second.messages) < 100
    for viewer in (first, second):
        await viewer.close()


@pytest.mark.parametrize("rtx", [True, False])
async def test_lost_packets_are_sent_again(room: Room, rtx: bool) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob, without=() if rtx else ("103",))
    seen: Counter[bytes] = Counter()
    again: list[bytes] = []

    def lose(packet: bytes) -> bool:
        if packet[0] >= 128 and packet[1] & 0x7F == 103:
            again.append(packet)
        if packet[0] < 128 or packet[1] & 0x7F != 102:
            return False
        sequence = packet[2:4]
        seen[sequence] += 1
        return sequence[1] % 8 == 3 and seen[sequence] == 1

    viewer.lose = lose
    await until(
        lambda: len(again) >= 3 if rtx else sum(count > 1 for count in seen.values()) >= 3,
        within=15,
        what="packets come again",
    )
    assert bool(again) == rtx
    nacks = room.metric("neko_webrtc_transport_layer_nacks", session_id="bob")
    assert nacks is not None
    assert nacks >= 3
    sender = viewer.peer.video
    assert sender.resent >= 3
    viewer.lose = lambda _packet: False
    shown = len(viewer.pictures)
    await until(lambda: len(viewer.pictures) > shown + 10, within=10, what="the picture goes on")
    await until(lambda: sender.reports.round_trip is not None, within=10, what="a report comes")
    await viewer.close()


async def test_a_viewer_whose_sends_fail_delays_nobody(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = await room.viewer(room.session("slow")), await room.viewer(room.session("quick"))
    await until(lambda: slow.pictures and quick.pictures, within=10, what="both see the picture")
    connection = slow.peer.connection
    monkeypatch.setattr(connection, "send_segments", lambda data, stride: False)
    await until(lambda: slow.peer.video.dropped > 0, within=10, what="its picture is dropped")
    shown = len(quick.pictures)
    await until(lambda: len(quick.pictures) > shown + 10, within=10, what="the other sees on")
    assert quick.peer.video.dropped == 0
    monkeypatch.undo()
    shown = len(slow.pictures)
    await until(lambda: len(slow.pictures) > shown + 10, within=10, what="the picture comes back")
    for viewer in (slow, quick):
        await viewer.close()


async def test_a_viewer_that_cannot_decode_gets_a_key_frame_for_all(room: Room) -> None:
    viewer = await room.viewer(room.session("bob"))
    await until(lambda: viewer.pictures, within=10, what="the picture is there")
    receiver = viewer.pc.getTransceivers()[1].receiver
    (ssrc,) = {struct.unpack_from("!I", packet, 8)[0] for packet in viewer.rtp if packet[1] & 0x7F == 102}
    video = room.video
    asked = video.keyframe_requests  # once at most, where connecting took longer than is kept
    await receiver._send_rtcp_pli(ssrc)
    await until(lambda: video.keyframe_requests == asked + 1, within=5, what="the stream is asked")
    await viewer.close()


async def test_a_full_intra_request_names_its_sender_in_its_body(room: Room) -> None:
    viewer = await room.viewer(room.session("bob"))
    await until(lambda: viewer.pictures, within=10, what="the picture is there")
    transport = viewer.pc.getTransceivers()[1].receiver.transport
    (ssrc,) = {struct.unpack_from("!I", packet, 8)[0] for packet in viewer.rtp if packet[1] & 0x7F == 102}
    asked = room.video.keyframe_requests
    for named in (ssrc + 1, ssrc):
        fci = struct.pack("!IBBH", named & 0xFFFFFFFF, 1, 0, 0)
        await transport._send_rtp(bytes(RtcpPsfbPacket(RTCP_PSFB_FIR, 1, 0, fci)))
    await until(lambda: room.video.keyframe_requests > asked, within=5, what="the stream is asked")
    assert viewer.peer.video.reports.keyframe_requests == 1
    await viewer.close()


EARLY_PACKETS = 30
"""The first pictures may have waited for the viewer."""


async def test_sender_reports_tell_when_a_frame_was_captured(room: Room) -> None:
    """By these a viewer aligns sound and picture: here the picture is 0.4 s older than the sound when it is
    sent.
    """
    video = room.video
    assert isinstance(video, SyntheticVideo)
    video.age = 0.4
    viewer = await room.viewer(room.session("bob"))
    ages: dict[int, float] = {}

    def note() -> bool:
        for data in viewer.rtcp:
            for report in RtcpPacket.parse(data):
                if not isinstance(report, RtcpSrPacket) or report.sender_info.packet_count <= EARLY_PACKETS:
                    continue
                packet, arrived = viewer.latest[report.ssrc]
                payload_type, (rtp_time,) = packet[1] & 0x7F, struct.unpack_from("!I", packet, 4)
                later = (report.sender_info.rtp_timestamp - rtp_time + 2**31) % 2**32 - 2**31
                captured = report.sender_info.ntp_timestamp / 2**32 - later / CLOCK_RATES[payload_type]
                ages[payload_type] = arrived - captured
        viewer.rtcp.clear()
        return len(ages) == 2

    await until(note, within=10, what="both senders report")
    assert ages[102] - ages[111] == pytest.approx(0.4, abs=0.1)
    await viewer.close()


async def test_playout_delay_is_sent_to_viewers_who_know_it(room: Room) -> None:
    bob = room.session("bob")
    provide = await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    viewer = Viewer(bob, provide)
    await viewer.pc.setRemoteDescription(RTCSessionDescription(provide.sdp, "offer"))
    viewer._watch_packets()
    await viewer.pc.setLocalDescription(await viewer.pc.createAnswer())
    answer = viewer.pc.localDescription.sdp.replace(
        "a=mid:1", "a=extmap:7 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\na=mid:1"
    )
    await viewer.peer.set_answer(answer)
    await until(lambda: viewer.pictures, within=10, what="the picture is there")
    packet = next(packet for packet in viewer.rtp if packet[1] & 0x7F == 102)
    profile, words = struct.unpack_from("!HH", packet, 12)
    extensions = dict(unpack_header_extensions(profile, packet[16 : 16 + 4 * words]))
    assert extensions[7] == b"\x00\x00\x00"
    assert extensions[1] == b"1"
    await viewer.close()


async def test_paused_and_disabled_media_stop_and_come_back(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    video = room.video
    await until(lambda: viewer.pictures, within=10, what="the picture is there")

    def running() -> tuple[bool, bool]:
        return bool(video.places), bool(room.sound.places)

    await until(lambda: running() == (True, True), within=5, what="sound comes soon after it")
    room.sessions.update_room(None, private_mode=True)
    assert running() == (False, False)
    room.sessions.update_room(None, private_mode=False)
    assert running() == (True, True)
    peer = peer_of(bob)
    status = peer.set_video(VideoRequest(disabled=True))
    assert status is not None
    assert status.disabled
    assert running() == (False, True)
    assert peer.set_video(VideoRequest(disabled=True)) is None
    assert peer.set_video(VideoRequest(selector=VideoSelector(id="none"))) is None
    assert peer.set_audio(AudioRequest(disabled=True)) is not None
    assert running() == (False, False)
    shown = len(viewer.pictures)
    assert peer.set_video(VideoRequest(disabled=False)) is not None
    await until(lambda: len(viewer.pictures) > shown + 3, within=10, what="the picture comes back")
    await viewer.close()


async def test_an_ice_restart_keeps_the_picture(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    await until(lambda: viewer.pictures, within=10, what="the picture is there")
    offer = await peer_of(bob).restart()
    assert peer_of(bob).connection.local_username in offer
    await viewer.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await viewer.pc.setLocalDescription(await viewer.pc.createAnswer())
    await peer_of(bob).set_answer(viewer.pc.localDescription.sdp)
    shown = len(viewer.pictures)
    await until(lambda: len(viewer.pictures) > shown + 3, within=10, what="the picture goes on")
    await viewer.close()


async def test_a_viewer_whose_address_changes_is_followed_and_gets_a_key_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(ice_lite, "SILENT_PATH", 0.6)
    async with (
        open_room(WebRTCSettings(udpmux=0, nat1to1=("127.0.0.1",))) as room,
        Nat(room.manager.port) as nat,
    ):
        bob = room.session("bob")
        provide = await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
        viewer = Viewer(bob, provide)
        await viewer.answer(provide.sdp.replace(str(room.manager.port), str(nat.port)))
        await until(lambda: viewer.pictures, within=10, what="the picture is there")
        video = room.video
        selected, asked = lite(bob).selected, video.keyframe_requests
        await nat.rebind()
        await until(lambda: lite(bob).selected is not selected, within=5, what="the path changes")
        assert video.keyframe_requests == asked + 1
        shown = len(viewer.pictures)
        await until(lambda: len(viewer.pictures) > shown + 3, within=5, what="the picture goes on")
        assert bob.is_watching
        await viewer.close()


async def test_a_viewer_may_offer_but_what_it_sends_is_not_decoded(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    await until(lambda: viewer.pictures, within=10, what="the picture is there")
    viewer.pc.addTransceiver("audio", "sendonly")  # a microphone
    await viewer.pc.setLocalDescription(await viewer.pc.createOffer())
    answer = await peer_of(bob).handle_offer(viewer.pc.localDescription.sdp)
    assert "a=setup:passive" in answer
    assert answer.count("a=inactive") == 1
    assert "a=msid:stream video" in answer
    await viewer.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    shown = len(viewer.pictures)
    await until(lambda: len(viewer.pictures) > shown + 3, within=10, what="the picture goes on")
    receivers = [transceiver.receiver for transceiver in peer_of(bob)._pc.getTransceivers()]
    assert not any(getattr(receiver, "_RTCRtpReceiver__started") for receiver in receivers)  # noqa: B009
    await viewer.close()


@pytest.mark.parametrize("sdp", ["", "v=0", "junk\x00", "m=video 9 UDP/TLS/RTP/SAVPF 102\r\n" * 3])
async def test_bad_answers_are_refused_with_a_sentence(room: Room, sdp: str) -> None:
    alice, bob = room.session("alice"), room.session("bob")
    other = await room.viewer(alice)
    await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    with pytest.raises(SignalError) as raised:
        await peer_of(bob).set_answer(sdp)
    assert str(raised.value)
    with pytest.raises(SignalError):
        await peer_of(bob).handle_offer(sdp)
    shown = len(other.pictures)
    await until(lambda: len(other.pictures) > shown + 3, within=10, what="the other viewer sees on")
    await other.close()


async def test_answers_at_the_wrong_time_and_from_others_are_refused(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    with pytest.raises(SignalError, match="no offer is open"):
        await peer_of(bob).set_answer(viewer.pc.localDescription.sdp)
    stranger = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    stranger.createDataChannel("x")
    await stranger.setLocalDescription(await stranger.createOffer())
    await room.manager.create_peer(room.session("carol"), VideoRequest(), AudioRequest())
    carol = room.sessions.get("carol")
    assert carol is not None
    with pytest.raises(SignalError, match="answer that first"):
        await peer_of(carol).handle_offer(stranger.localDescription.sdp)
    answer = stranger.localDescription.sdp.replace("a=setup:actpass", "a=setup:active")
    with pytest.raises(SignalError, match="cannot be used"):
        await peer_of(carol).set_answer(answer)
    await stranger.close()
    await viewer.close()


async def test_a_stream_that_does_not_exist_is_named(room: Room) -> None:
    with pytest.raises(SignalError, match="no video stream 'best'; there is main"):
        await room.manager.create_peer(
            room.session("bob"), VideoRequest(selector=VideoSelector(id="best")), AudioRequest()
        )


async def test_a_new_peer_replaces_the_old_one(room: Room) -> None:
    bob = room.session("bob")
    first = await room.viewer(bob)
    old = peer_of(bob)
    second = await room.viewer(bob)
    assert old.state is PeerState.CLOSED
    await until(lambda: bob.is_watching and second.pictures, within=10, what="the new peer works")
    assert peer_of(bob) is not old
    assert room.metric("neko_webrtc_connection_count", session_id="bob") == 2
    await first.close()
    assert bob.is_watching
    await second.close()


async def test_junk_inside_dtls_and_sctp_ends_nobody_else(room: Room) -> None:
    alice, bob = room.session("alice"), room.session("bob")
    good, bad = await room.viewer(alice), await room.viewer(bob)
    dtls = bad.pc.getTransceivers()[0].receiver.transport
    for junk in (b"", b"\x00" * 12, b"\x13\x88\x13\x88" + bytes(40), bytes(range(256))):
        await dtls._send_data(junk or b"\x00")
        await dtls.transport._send(b"\x17\xfe\xfd" + junk)
        await dtls.transport._send(b"\x80" + junk)
    sctp = bad.pc.sctp
    assert sctp is not None
    # a second OPEN for a stream that has a channel makes aiortc's assertion fail
    channel = bad.channel
    assert channel is not None
    opened = struct.pack("!BBHLHH", 3, 0, 0, 0, 1, 0) + b"x"
    assert channel.id is not None
    await sctp._send(channel.id, 50, opened)
    await until(lambda: bob.media is None, within=5, what="the one who sent junk is gone")
    shown = len(good.pictures)
    await until(lambda: len(good.pictures) > shown + 3, within=10, what="the other viewer sees on")
    await bad.close()
    await good.close()


async def test_junk_on_the_data_channel_is_ignored(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    room.sessions.set_controller(bob, bob)
    channel = viewer.channel
    assert channel is not None
    capsys.readouterr()
    for junk in (b"", b"\x01", b"\xff" * 100, bytes(60_000), "text", b"\x01\x00\x04\x00\x01\x00"):
        channel.send(junk)
    viewer.send(Move(1, 2))
    await until(lambda: room.desk.input.calls == [("move", (1, 2))], within=5, what="the good message acts")
    assert peer_of(bob).channel.refused == 6
    assert capsys.readouterr().out.count("ignoring messages") == 1
    await viewer.close()


async def test_a_viewer_that_vanishes_stops_watching_and_is_closed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent, "FRESH_FOR", 1.0)
    monkeypatch.setattr(consent, "EXPIRES_AFTER", 3.0)
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    peer = peer_of(bob)
    # cut the network: the client's packets go nowhere
    ice = viewer.pc.getTransceivers()[0].receiver.transport.transport
    for protocol in ice._connection._protocols:
        protocol.transport.abort()
    await until(lambda: not bob.is_watching, within=10, what="nobody watches")
    assert peer.connection.freshness() in (Freshness.STALE, Freshness.EXPIRED)
    await until(lambda: bob.media is None, within=10, what="the peer is closed")
    assert peer.state is PeerState.CLOSED
    await viewer.close()


async def test_a_viewer_that_never_answers_is_given_up(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent, "FRESH_FOR", 0.2)
    monkeypatch.setattr(consent, "EXPIRES_AFTER", 0.5)
    bob = room.session("bob")
    await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    await until(lambda: bob.media is None, within=5, what="the peer is given up")


async def test_nothing_is_captured_for_a_viewer_that_does_not_connect(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "EXPECTED_FOR", 0.1)
    bob = room.session("bob")
    await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    assert len(room.video.places) == 1, "the key frame is made meanwhile"
    await until(lambda: not room.video.places, within=5, what="capture ends")
    assert bob.media is not None, "it may still come"


async def test_a_viewer_with_another_certificate_is_refused(room: Room) -> None:
    """Somebody who answers in the viewer's name without the key of the certificate in its answer."""
    bob = room.session("bob")
    provide = await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    viewer = Viewer(bob, provide)
    await viewer.pc.setRemoteDescription(RTCSessionDescription(provide.sdp, "offer"))
    await viewer.pc.setLocalDescription(await viewer.pc.createAnswer())
    sdp = re.sub(r"(a=fingerprint:\S+ )..", r"\g<1>00", viewer.pc.localDescription.sdp)
    await viewer.peer.set_answer(sdp)
    await until(lambda: bob.media is None, within=10, what="the connection is refused")
    assert not bob.is_watching
    assert not room.video.places
    await viewer.close()


async def test_a_viewer_that_ignores_the_receive_window_is_closed(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    sctp = viewer.pc.sctp
    assert sctp is not None
    sctp._cwnd = 1 << 30

    async def flood() -> None:
        for number in range(1100):
            chunk = DataChunk(flags=2)  # begins a message that never ends
            chunk.tsn = sctp._local_tsn + number
            chunk.stream_id = 9
            chunk.user_data = bytes(1000)
            await sctp._send_chunk(chunk)
            if number % 32 == 0:
                await asyncio.sleep(0.002)

    flooding = asyncio.create_task(flood())
    await until(lambda: bob.media is None, within=10, what="the peer is closed")
    await asyncio.wait({flooding})
    await viewer.close()


async def test_a_channel_a_viewer_opens_is_closed(room: Room) -> None:
    viewer = await room.viewer(room.session("bob"))
    mine = viewer.pc.createDataChannel("mine")
    await until(lambda: mine.readyState == "closed", within=5, what="it is closed again")
    assert viewer.channel is not None
    assert viewer.channel.readyState == "open"
    await viewer.close()


async def test_closing_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    async with open_room() as room:
        session = room.session("bob")
        viewer = await room.viewer(session)
        unanswered = room.session("carol")
        await room.manager.create_peer(unanswered, VideoRequest(), AudioRequest())
        assert room.metric("neko_webrtc_connection_state", session_id="bob") == 5
        room.sessions.delete("bob")
        assert room.metric("neko_webrtc_connection_state", session_id="bob") is None
        assert room.metric("neko_webrtc_connection_state", session_id="carol") == 0
        await viewer.close()
    await until(lambda: asyncio.all_tasks() <= before, within=5, what="no task is left")


async def test_a_session_that_is_gone_gets_no_offer(room: Room) -> None:
    bob = room.session("bob")
    room.sessions.delete("bob")
    with pytest.raises(SignalError, match="closed"):
        await room.manager.create_peer(bob, VideoRequest(), AudioRequest())
    assert room.metric("neko_webrtc_connection_count", session_id="bob") is None


async def test_the_server_notices_that_it_was_stopped(room: Room) -> None:
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    peer = peer_of(bob)
    peer.connection.forgive(-60)  # 60 s without a check, as after a stop
    assert peer.connection.freshness() is Freshness.EXPIRED
    manager: WebRTCManager = room.manager
    asked = room.video.keyframe_requests
    manager._after_stop(Stop(seconds=60, counted=60))
    assert peer.connection.freshness() is Freshness.FRESH
    assert room.video.keyframe_requests == asked + 1
    await until(
        lambda: manager._reviver is not None and manager._reviver.done(), within=10, what="it is heard of"
    )
    assert bob.is_watching
    await viewer.close()


async def test_a_stop_while_the_sweep_looks_around_is_nobodys_silence(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may stop between the look at the clock and the look at a viewer."""
    bob = room.session("bob")
    viewer = await room.viewer(bob)
    peer = peer_of(bob)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
    peer.look(now)
    assert bob.is_watching
    monkeypatch.undo()
    await viewer.close()
