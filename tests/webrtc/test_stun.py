from __future__ import annotations

import aioice.stun
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.webrtc.stun import (
    BINDING_SUCCESS,
    IntegrityKey,
    binding_request,
    binding_success,
    parse_check,
)

passwords = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90)
usernames = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=256)
transactions = st.binary(min_size=12, max_size=12)
addresses = st.tuples(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str), st.integers(0, 65535))


def browser_check(password: str, username: str, transaction_id: bytes, *, use_candidate: bool) -> bytes:
    """A connectivity check as aioice, a full ICE agent, sends it."""
    message = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, transaction_id=transaction_id
    )
    message.attributes["USERNAME"] = username
    message.attributes["PRIORITY"] = 1845501695
    message.attributes["ICE-CONTROLLING"] = 7
    if use_candidate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return bytes(message)


@given(passwords, usernames, transactions, st.booleans())
def test_reads_the_checks_of_a_full_agent(
    password: str, username: str, transaction_id: bytes, use_candidate: bool
) -> None:
    data = browser_check(password, username, transaction_id, use_candidate=use_candidate)
    check = parse_check(memoryview(data))
    assert check is not None
    assert check.transaction_id == transaction_id
    assert check.username == username.encode()
    assert check.use_candidate is use_candidate
    assert check.local_ufrag == username.split(":")[0].encode()
    assert check.authentic(IntegrityKey(password))
    assert not check.authentic(IntegrityKey(password + "x"))


@given(passwords, usernames, transactions, st.data())
def test_a_changed_byte_never_authenticates(
    password: str, username: str, transaction_id: bytes, data: st.DataObject
) -> None:
    message = bytearray(browser_check(password, username, transaction_id, use_candidate=True))
    position = data.draw(st.integers(0, len(message) - 1))
    message[position] ^= data.draw(st.integers(1, 255))
    check = parse_check(memoryview(message))
    assert check is None or not check.authentic(IntegrityKey(password))


@given(passwords, usernames, transactions, st.data())
def test_a_shortened_or_lengthened_message_never_authenticates(
    password: str, username: str, transaction_id: bytes, data: st.DataObject
) -> None:
    message = browser_check(password, username, transaction_id, use_candidate=False)
    cut = data.draw(st.integers(0, len(message) - 1))
    # without its FINGERPRINT a message is complete too, but its length field says otherwise
    assert parse_check(memoryview(message[:cut])) is None
    assert parse_check(memoryview(message + data.draw(st.binary(min_size=1, max_size=64)))) is None


@given(st.binary(max_size=700))
def test_junk_is_no_check(junk: bytes) -> None:
    for message in (junk, b"\x00\x01" + junk, b"\x00\x01\x00\x40\x21\x12\xa4\x42" + junk):
        check = parse_check(memoryview(message))
        assert check is None or not check.authentic(IntegrityKey("password"))


@given(passwords, transactions, addresses)
def test_answers_as_aioice_does(password: str, transaction_id: bytes, address: tuple[str, int]) -> None:
    reference = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.RESPONSE, transaction_id=transaction_id
    )
    reference.attributes["XOR-MAPPED-ADDRESS"] = address
    reference.add_message_integrity(password.encode())
    answer = binding_success(transaction_id, address, IntegrityKey(password))
    assert answer == bytes(reference)
    parsed = parse_check(memoryview(answer), BINDING_SUCCESS)
    assert parsed is not None
    assert parsed.authentic(IntegrityKey(password))


@given(passwords, usernames, transactions, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_asks_as_aioice_does(
    password: str, username: str, transaction_id: bytes, priority: int, tie_breaker: int
) -> None:
    reference = aioice.stun.Message(
        aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST, transaction_id=transaction_id
    )
    reference.attributes["USERNAME"] = username
    reference.attributes["PRIORITY"] = priority
    reference.attributes["ICE-CONTROLLED"] = tie_breaker
    reference.add_message_integrity(password.encode())
    assert binding_request(transaction_id, username, priority, tie_breaker, IntegrityKey(password)) == bytes(
        reference
    )


@pytest.mark.parametrize("second", ["USERNAME", "PRIORITY"])
def test_nothing_may_follow_the_signature_but_a_fingerprint(second: str) -> None:
    """What is not signed could have been put there by anybody."""
    message = bytearray(browser_check("secret", "a:b", bytes(12), use_candidate=False))
    del message[-8:]
    message += b"\x00\x06\x00\x04evil" if second == "USERNAME" else b"\x00\x24\x00\x04\xff\xff\xff\xff"
    message[2:4] = (len(message) - 20).to_bytes(2, "big")
    assert parse_check(memoryview(message)) is None
