"""Anything a client can send: understood, refused, and never an error of ours."""

import asyncio
import contextlib

from aiortc.rtp import RtcpPacket
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamserver.config import Settings
from streamserver.legacy import to_server
from streamserver.webrtc.receiver_reports import ReceiverReports, missing, wants_keyframe
from streamserver.websocket.client import Client
from streamserver.websocket.limits import LogLimiter
from streamserver.websocket.messages import BadMessage, ClientMessage, parse
from streamserver.websocket.metrics import CLIENT_EVENTS
from tests.sessions.doubles import FakeSocket, admin
from tests.websocket.room import Room

TRIES = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))

_WORDS = """x y code keysym text sdp candidate disabled selector type id bitrate auto video audio width height
rate layout variant shift receiver subject body touch_id pressure delta_x delta_y control_key event payload
sdpMid data content resource displayname capsLock url plugins profile state files emote"""
NAMES = st.sampled_from(_WORDS.split())
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=20),
    st.sampled_from(["exact", "nearest", "", "v=0", "us", "\ud800", "main"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=12,
)


@TRIES
@given(st.sampled_from(sorted(CLIENT_EVENTS)), VALUES)
def test_any_payload_of_any_event(event: str, payload: object) -> None:
    async def handle() -> None:
        room = Room(Settings())
        room.log_in("ann", admin())
        session = room.session("ann")
        socket = FakeSocket()
        await room.sessions.connect(session, socket)
        client = Client(session, socket, LogLimiter(1.0), lambda: 0.0)
        with contextlib.suppress(BadMessage):
            await room.manager.endpoint.dispatch(client, ClientMessage(event, payload))  # type: ignore[arg-type]
        room.sessions.shutdown()

    asyncio.run(handle())


@TRIES
@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: raw.decode("latin-1"))))
def test_any_text_is_a_message_or_refused(text: str) -> None:
    with contextlib.suppress(BadMessage):
        assert parse(text).event


@TRIES
@given(st.sampled_from(sorted(to_server.CLIENT_EVENTS)), st.dictionaries(NAMES, VALUES, max_size=5))
def test_anything_of_a_version_2_client(event: str, fields: dict[str, object]) -> None:
    with contextlib.suppress(BadMessage):
        actions = to_server.translate(event, fields, own_id="ann", own_name="")  # type: ignore[arg-type]
        for action in actions:
            # what a client says never becomes another path
            assert not isinstance(action, to_server.Ask) or action.path.count("/") <= 6


@TRIES
@given(st.binary(max_size=120), st.integers(0, 31), st.sampled_from(range(200, 208)))
def test_any_feedback_of_a_viewer(body: bytes, count: int, kind: int) -> None:
    body = body[: len(body) // 4 * 4]
    header = bytes([0x80 | count, kind]) + (len(body) // 4).to_bytes(2, "big")
    try:
        packets = RtcpPacket.parse(header + body)
    except (ValueError, IndexError):
        return  # aiortc refuses it, and the connection goes on
    reports = ReceiverReports(90_000)
    for packet in packets:
        reports.take(packet, ssrc=1)
        wants_keyframe(packet)
        assert all(0 <= sequence < 65536 for sequence in missing(packet))
