"""A viewer that costs next to nothing, so that fifty of them fit beside the server they measure.

It does what a browser does on the wire: connectivity checks, a DTLS handshake, SRTP. Each packet is
authenticated and decrypted with the negotiated keys, then counted and forgotten. Once a second it sends a
receiver report and an estimate of the bandwidth.
"""

from __future__ import annotations

import datetime
import re
import secrets
import selectors
import socket
import struct
import time

import pylibsrtp
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, RtcpReceiverInfo, RtcpRrPacket, pack_remb_fci
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from pylibsrtp._binding import ffi, lib

from streamserver.webrtc.stun import IntegrityKey, binding_request, binding_success, parse_check

PROFILE = b"SRTP_AEAD_AES_256_GCM"
KEY_LENGTH, SALT_LENGTH = 32, 12
CHECK_INTERVAL = 2.5
REPORT_INTERVAL = 1.0
HANDSHAKE_RETRY = 0.3
BANDWIDTH = 2_500_000

_HEADER = struct.Struct("!H4xI")
_buffer = ffi.new("char[]", 2048)
buffer = memoryview(ffi.buffer(_buffer)).cast("B")
"""Where a datagram is while it is looked at."""
_length = ffi.new("int *")


class Identity:
    """One certificate for all viewers of the process."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "viewer")])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )
        self.fingerprint = self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()

    def context(self) -> SSL.Context:
        """Make a DTLS context that asks for SRTP."""
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(self.certificate)
        context.use_privatekey(self.key)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_tlsext_use_srtp(PROFILE)
        return context


class LightViewer:
    """One viewer: `answer` goes to the server, then `poll` and `tick` make it live.

    `packets`, `bytes`: RTP that was authentic; `frames`: of these, ends of a picture; `rejected`: RTP that
    was not; `lost`: RTP that was missing between others.
    """

    def __init__(self, identity: Identity, offer: str) -> None:
        self.packets = 0
        self.bytes = 0
        self.frames = 0
        self.rejected = 0
        self.lost = 0
        self._expected: int | None = None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * 1024 * 1024)
        self.socket.bind(("127.0.0.1", 0))
        port = re.search(r"udp \d+ 127\.0\.0\.1 (\d+) typ host", offer)
        assert port, "the server offers no candidate on 127.0.0.1"
        self.socket.connect(("127.0.0.1", int(port.group(1))))
        self._their_name = _attribute(offer, "ice-ufrag")
        self._their_key = IntegrityKey(_attribute(offer, "ice-pwd"))
        self._name, password = secrets.token_hex(4), secrets.token_hex(16)
        self._key = IntegrityKey(password)
        self._ssl = SSL.Connection(identity.context())
        self._ssl.set_connect_state()
        self._receiver: pylibsrtp.Session | None = None
        self._sender: pylibsrtp.Session | None = None
        self._ssrc = secrets.randbits(32)
        self._media_ssrc = 0
        self._reachable = False
        self._next_check = self._next_report = self._next_flight = 0.0
        self.answer = self._answer(offer, identity.fingerprint, password)

    @property
    def connected(self) -> bool:
        """Whether the keys are there."""
        return self._receiver is not None

    def tick(self, now: float) -> None:
        """Send what is due."""
        if now >= self._next_check:
            self._next_check = now + (CHECK_INTERVAL if self._reachable else 0.05)
            name = f"{self._their_name}:{self._name}"
            self._send(binding_request(secrets.token_bytes(12), name, 1, 1, self._their_key))
        if self._reachable and not self.connected and now >= self._next_flight:
            self._next_flight = now + HANDSHAKE_RETRY
            self._ssl.DTLSv1_handle_timeout()
            self._shake_hands()
        if self._sender is not None and now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL
            self._send(self._sender.protect_rtcp(self._report()))

    def poll(self) -> None:
        """Take everything that has arrived."""
        while True:
            try:
                size = self.socket.recv_into(buffer)
            except (BlockingIOError, ConnectionRefusedError):
                return
            self.take(size)

    def take(self, size: int) -> None:
        """Take one datagram, which is in `buffer`."""
        first = buffer[0]
        if first >= 128:
            self._media(size)
            return
        data = bytes(buffer[:size])
        if first >= 20:
            self._ssl.bio_write(data)
            if not self.connected:
                self._shake_hands()
        else:
            self._stun(data)

    def close(self) -> None:
        """Leave without a word."""
        self.socket.close()

    def _media(self, size: int) -> None:
        """Decrypt in place, without pylibsrtp's copies: 200 viewers have 68,000 packets a second."""
        if self._receiver is None or 192 <= buffer[1] <= 223:  # RTCP
            return
        _length[0] = size
        if lib.srtp_unprotect(self._receiver._srtp[0], _buffer, _length):
            self.rejected += 1
            return
        self.packets += 1
        self.bytes += size
        self.frames += buffer[1] >> 7
        sequence, self._media_ssrc = _HEADER.unpack_from(buffer, 2)
        gap = 0 if self._expected is None else (sequence - self._expected) & 0xFFFF
        if gap < 1 << 15:
            self.lost += gap
            self._expected = (sequence + 1) & 0xFFFF

    def _stun(self, data: bytes) -> None:
        check = parse_check(memoryview(data))
        if check is None:  # the answer to ours
            self._reachable = True
        elif check.authentic(self._key):
            self._send(binding_success(check.transaction_id, self.socket.getpeername(), self._key))

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            pass
        else:
            keys = self._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (KEY_LENGTH + SALT_LENGTH))
            self._sender = _session(keys, 0, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
            self._receiver = _session(keys, 1, pylibsrtp.Policy.SSRC_ANY_INBOUND)
        while True:
            try:
                self._send(self._ssl.bio_read(1500))
            except SSL.WantReadError:
                return

    def _report(self) -> bytes:
        estimate = pack_remb_fci(BANDWIDTH, [self._media_ssrc])
        remb = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=self._ssrc, media_ssrc=0, fci=estimate)
        block = RtcpReceiverInfo(
            ssrc=self._media_ssrc,
            fraction_lost=0,
            packets_lost=self.lost,
            highest_sequence=self._expected or 0,
            jitter=0,
            lsr=0,
            dlsr=0,
        )
        return bytes(RtcpRrPacket(ssrc=self._ssrc, reports=[block])) + bytes(remb)

    def _send(self, data: bytes) -> None:
        try:
            self.socket.send(data)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def _answer(self, offer: str, fingerprint: str, password: str) -> str:
        """Accept everything that is offered, receiving only."""
        host, port = self.socket.getsockname()
        kept = re.compile(r"m=|a=(mid|extmap|rtpmap|fmtp|rtcp-fb|sctp-port|max-message-size|group|rtcp-mux)")
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        for section in re.split(r"(?m)^(?=m=)", offer):
            lines += [line for line in section.splitlines() if kept.match(line)]
            if section.startswith("m="):
                lines += [
                    f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
                    f"a=ice-ufrag:{self._name}",
                    f"a=ice-pwd:{password}",
                    f"a=fingerprint:sha-256 {fingerprint}",
                    "a=setup:active",
                    "a=recvonly",
                ]
        return "\r\n".join(lines) + "\r\n"


class Crowd:
    """Viewers that are served by one loop."""

    def __init__(self) -> None:
        self.viewers: list[LightViewer] = []
        self._identity = Identity()
        self._selector = selectors.DefaultSelector()

    def join(self, offer: str) -> LightViewer:
        """Add a viewer for that offer; its `answer` is for the server."""
        viewer = LightViewer(self._identity, offer)
        self.viewers.append(viewer)
        self._selector.register(viewer.socket, selectors.EVENT_READ, viewer)
        return viewer

    def live(self, seconds: float) -> None:
        """Receive and send for a while."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for key, _ in self._selector.select(timeout=min(0.02, end - now)):
                key.data.poll()
            for viewer in self.viewers:
                viewer.tick(now)

    def wait_connected(self, deadline: float = 30.0) -> None:
        """Receive and send until everybody has media; raises TimeoutError after `deadline` seconds."""
        end = time.monotonic() + deadline
        while not all(viewer.packets for viewer in self.viewers):
            if time.monotonic() > end:
                without = sum(not viewer.packets for viewer in self.viewers)
                raise TimeoutError(f"{without} of {len(self.viewers)} viewers got no media in {deadline} s")
            self.live(0.05)

    def disperse(self) -> None:
        """Close all viewers."""
        for viewer in self.viewers:
            self._selector.unregister(viewer.socket)
            viewer.close()
        self.viewers.clear()


def _attribute(sdp: str, name: str) -> str:
    found = re.search(rf"a={name}:(\S+)", sdp)
    assert found, f"the offer has no {name}"
    return found.group(1)


def _session(keys: bytes, index: int, direction: int) -> pylibsrtp.Session:
    """Make the SRTP session of one direction: both keys come first, then both salts (RFC 5764 §4.2)."""
    key = keys[index * KEY_LENGTH : (index + 1) * KEY_LENGTH]
    salt_at = 2 * KEY_LENGTH + index * SALT_LENGTH
    policy = pylibsrtp.Policy(
        key=key + keys[salt_at : salt_at + SALT_LENGTH],
        ssrc_type=direction,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    )
    return pylibsrtp.Session(policy)
