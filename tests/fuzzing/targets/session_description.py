"""Session descriptions of viewers: refused with a sentence, or of the few kinds the rest counts on."""

from __future__ import annotations

from streamserver.webrtc.errors import SignalError
from streamserver.webrtc.session_description import complete_answer, complete_offer, read_remote

MAX_LENGTH = 8192
INSTRUMENTED = (
    "streamserver.webrtc.session_description",
    "aiortc.sdp",
    "aioice.candidate",
)

CREDENTIALS = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
PROOF = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\na=setup:active\r\n"
SESSION = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n"
AUDIO = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
    "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" + CREDENTIALS + PROOF
)
RTX = "a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\n"
VIDEO = (
    "m=video 9 UDP/TLS/RTP/SAVPF 102 103\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\n"
    "a=rtpmap:102 H264/90000\r\n"
    + RTX
    + "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
    "a=rtcp-fb:102 nack\r\na=rtcp-fb:102 nack pli\r\na=rtcp-fb:102 ccm fir\r\na=rtcp-fb:102 goog-remb\r\n"
    "a=extmap:3 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\r\n"
    "a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n" + CREDENTIALS + PROOF
)
DATA = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n"
    "a=max-message-size:262144\r\n" + CREDENTIALS + PROOF
)
ANSWER = SESSION + AUDIO + VIDEO + DATA


class SessionDescriptionTarget:
    """The check every description passes first."""

    def feed(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        refusals: list[str] = []
        for is_answer in (True, False):
            try:
                remote = read_remote(text, is_answer=is_answer)
            except SignalError as error:
                refusals.append(str(error))
                continue
            assert remote.ice_username
            assert remote.ice_password
            assert remote.playout_delay_id is None or 1 <= remote.playout_delay_id <= 14
        assert all(0 < len(refusal) < 300 for refusal in refusals)
        # these are aiortc's own descriptions in earnest: no more than that they do not hang
        for complete in (complete_answer, complete_offer):
            try:
                completed = complete(text)
            except Exception:
                continue
            assert len(completed) <= 8 * len(text) + 4096

    def close(self) -> None:
        """Nothing is open."""


def open_target() -> SessionDescriptionTarget:
    return SessionDescriptionTarget()


def seeds() -> dict[str, bytes]:
    microphone = AUDIO.replace("recvonly", "sendrecv") + "a=ssrc:77 cname:me\r\na=msid:one two\r\n"
    candidates = "a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host\r\na=end-of-candidates\r\n"
    texts = {
        "answer": ANSWER,
        "answer-without-rtx": ANSWER.replace(" 102 103", " 102").replace(RTX, ""),
        "offer-with-microphone": SESSION + microphone + VIDEO + DATA,
        "candidates": SESSION + AUDIO + VIDEO + DATA + candidates,
        "data-only": SESSION.replace("0 1 2", "2") + DATA,
        "rejected-picture": ANSWER.replace("m=video 9", "m=video 0"),
    }  # fmt: skip
    return {name: text.encode() for name, text in texts.items()}
