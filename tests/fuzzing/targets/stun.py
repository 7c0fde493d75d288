"""STUN on our UDP port: only who knows the password is admitted, and is understood as aioice understands
it.

An input is a number of messages. Each begins with a byte of flags and two of length; flag 1: sign it
with the right password, so that the fuzzer gets behind the lock; flag 2: add a fingerprint; flag 4: it
comes from a known path.
"""

from __future__ import annotations

import binascii
import hmac
import struct

import aioice.stun

from streamserver.webrtc.agents import Agents
from streamserver.webrtc.ice_lite import LiteConnection
from streamserver.webrtc.paths import Path
from streamserver.webrtc.stun import (
    BINDING_SUCCESS,
    IntegrityKey,
    binding_request,
    binding_success,
)

MAX_LENGTH = 2048
INSTRUMENTED = (
    "streamserver.webrtc.stun",
    "streamserver.webrtc.agents",
    "streamserver.webrtc.ice_lite",
)

UFRAG, PASSWORD = "ours", "a password of twenty-two"
SIGN, FINGERPRINT, KNOWN = 1, 2, 4
TRANSACTION = bytes(range(12))


class RecordingPath(Path):
    """An address that takes everything."""

    protocol = "udp"
    writable = True

    def __init__(self, agent: LiteConnection) -> None:
        super().__init__(("192.0.2.1", 4000), agent)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> bool:
        self.sent.append(data)
        return True

    def send_segments(self, data: memoryview, stride: int) -> bool:
        self.sent.append(bytes(data))
        return True

    def drop(self) -> None:
        self.agent.paths.discard(self)


class StunTarget:
    """One viewer's agent, and the look-up in front of it."""

    def feed(self, data: bytes) -> None:
        agents = Agents()
        agent = LiteConnection(agents, [])
        agent.remote_username, agent.remote_password = "them", PASSWORD
        agents.register(UFRAG, IntegrityKey(PASSWORD), agent)
        path = RecordingPath(agent)
        for flags, message in split(data):
            if flags & SIGN:
                message = signed(message)
            if flags & FINGERPRINT:
                message = with_fingerprint(message)
            known = path if flags & KNOWN else None
            admitted = agents.admit(memoryview(bytearray(message)), path.remote, known)
            if admitted is None:
                continue
            assert flags & SIGN or PASSWORD.encode() not in data, "nobody signs by chance"
            check = admitted.check
            assert hmac.digest(PASSWORD.encode(), check.signed, "sha1") == check.digest
            assert message.startswith(check.signed[:2]), "what was signed is what came"
            compare(message, check.username, check.use_candidate)
            agent.paths.add(path)
            agent.check_received(path, check)
            answer = binding_success(check.transaction_id, ("192.0.2.1", 4000), admitted.key)
            assert aioice.stun.parse_message(answer).check_message_integrity(PASSWORD.encode())
        assert sum(map(len, path.sent)) <= 200 * len(split(data))
        agent.shut()

    def close(self) -> None:
        """Nothing is open."""


def compare(message: bytes, username: bytes, use_candidate: bool) -> None:
    """aioice, where it can read the message, reads the same in it."""
    try:
        other = aioice.stun.parse_message(message)
    except Exception:  # it is stricter about attributes we do not look at
        return
    assert other.attributes.get("USERNAME", "").encode() == username
    assert ("USE-CANDIDATE" in other.attributes) == use_candidate


def split(data: bytes) -> list[tuple[int, bytes]]:
    """Return the messages of an input with their flags."""
    messages = []
    while len(data) >= 3:
        flags, length = struct.unpack_from("!BH", data)
        messages.append((flags, data[3 : 3 + length]))
        data = data[3 + length :]
    return messages


def joined(*messages: tuple[int, bytes]) -> bytes:
    """Make an input of messages."""
    return b"".join(struct.pack("!BH", flags, len(message)) + message for flags, message in messages)


def signed(message: bytes) -> bytes:
    """Add MESSAGE-INTEGRITY with the right password; a message without a whole header stays as it is."""
    if len(message) < 20:
        return message
    head = message[:2] + struct.pack("!H", len(message) - 20 + 24 & 0xFFFF) + message[4:20]
    body = head + message[20:]
    return body + struct.pack("!HH", 0x0008, 20) + hmac.digest(PASSWORD.encode(), body, "sha1")


def with_fingerprint(message: bytes) -> bytes:
    """Add FINGERPRINT."""
    if len(message) < 20:
        return message
    body = message[:2] + struct.pack("!H", len(message) - 20 + 8 & 0xFFFF) + message[4:]
    return body + struct.pack("!HHI", 0x8028, 4, binascii.crc32(body) ^ 0x5354554E)


def unsigned(*, nominate: bool = False, role: int = 0x802A) -> bytes:
    """Return a browser's check without its signature."""
    name = f"{UFRAG}:them".encode()
    body = struct.pack("!HH", 0x0006, len(name)) + name + bytes(-len(name) % 4)
    body += struct.pack("!HHQ", role, 8, 77) + struct.pack("!HHI", 0x0024, 4, 1853817087)
    if nominate:
        body += struct.pack("!HH", 0x0025, 0)
    return struct.pack("!HHI12s", 1, len(body), 0x2112A442, TRANSACTION) + body


def open_target() -> StunTarget:
    return StunTarget()


def seeds() -> dict[str, bytes]:
    key = IntegrityKey(PASSWORD)
    right = binding_request(TRANSACTION, f"{UFRAG}:them", 1, 2, key)
    answer = binding_success(TRANSACTION, ("192.0.2.1", 4000), key)
    assert answer[:2] == BINDING_SUCCESS.to_bytes(2, "big")
    return {
        "check": joined((SIGN | FINGERPRINT, unsigned())),
        "check-without-fingerprint": joined((SIGN, unsigned())),
        "nomination": joined((SIGN | FINGERPRINT, unsigned()), (SIGN | FINGERPRINT, unsigned(nominate=True))),
        "own-encoder": joined((SIGN, right[:-32])),
        "unsigned-check": joined((0, unsigned())),
        "answer": joined((SIGN | FINGERPRINT, unsigned()), (KNOWN, answer)),
        "indication": joined((0, struct.pack("!HHI12s", 0x11, 0, 0x2112A442, TRANSACTION))),
    }
