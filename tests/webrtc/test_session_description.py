from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.session_description import (
    MAX_DESCRIPTION_SIZE,
    PLAYOUT_DELAY_ID,
    PLAYOUT_DELAY_URI,
    RemoteDescription,
    read_remote,
)

GOOD = "\r\n".join(
    (
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0 1",
        "m=video 9 UDP/TLS/RTP/SAVPF 102",
        "c=IN IP4 0.0.0.0",
        "a=mid:0",
        "a=rtcp-mux",
        f"a=extmap:{PLAYOUT_DELAY_ID} {PLAYOUT_DELAY_URI}",
        "a=rtpmap:102 H264/90000",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 AA:BB",
        "a=setup:active",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:1",
        "a=sctp-port:5000",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 AA:BB",
        "a=setup:active",
        "",
    )
)


def test_what_aiortc_does_not_hand_out_is_read() -> None:
    assert read_remote(GOOD, is_answer=True) == RemoteDescription("abcd", "0123456789012345678901", 5)
    without = GOOD.replace("a=extmap", "a=ignored")
    assert read_remote(without, is_answer=True).playout_delay_id is None


@pytest.mark.parametrize(
    ("sdp", "message"),
    [
        ("", "the answer has no media sections"),
        ("hello", "the answer"),
        ("m=video", "is not a session description"),
        ("x" * (MAX_DESCRIPTION_SIZE + 1), "characters"),
        (GOOD.replace("a=ice-pwd", "a=ignored"), "video section lacks ICE credentials"),
        (GOOD.replace("a=fingerprint", "a=ignored"), "video section lacks a DTLS fingerprint or role"),
        (GOOD.replace("a=setup", "a=ignored"), "video section lacks a DTLS fingerprint or role"),
        (GOOD.replace("a=sctp-port:5000", "a=sctp-port:0"), "application section lacks an SCTP port"),
        (GOOD.replace("a=sctp-port", "a=ignored"), "application section lacks an SCTP port"),
        (GOOD.replace("m=video", "m=text"), "is of a kind we do not know"),
        (GOOD + GOOD[GOOD.index("m=application") :] * 9, "media sections"),
    ],
)
def test_unusable_descriptions_are_refused_with_a_sentence(sdp: str, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        read_remote(sdp, is_answer=True)


@given(st.data())
def test_mutated_descriptions_are_read_or_refused(data: st.DataObject) -> None:
    lines = GOOD.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(lines) - 1))
        lines[index] = data.draw(st.one_of(st.just(""), st.sampled_from(lines), st.text(max_size=40)))
    with contextlib.suppress(SignalError):
        read_remote("\r\n".join(lines), is_answer=False)
