"""Parsing: anything in, a message or a `BadMessage` out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from streamserver.sessions.model import ABSENT
from streamserver.websocket.messages import (
    BadMessage,
    Broadcast,
    Button,
    Description,
    Key,
    Paste,
    Position,
    Screen,
    Scroll,
    Unicast,
    WireModel,
    decode,
    decode_log_lines,
    parse,
)
from streamserver.websocket.peer import encode

MODELS: list[type[WireModel]] = [
    Position,
    Scroll,
    Button,
    Key,
    Paste,
    Screen,
    Unicast,
    Broadcast,
    Description,
]

json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(st.text())
def test_parsing_any_text_gives_a_message_or_a_sentence(text: str) -> None:
    try:
        message = parse(text)
    except BadMessage as error:
        reason = str(error)
    else:
        reason = message.event
    assert 0 < len(reason) <= 200


@given(st.text(min_size=1, max_size=50), json_values)
def test_what_is_encoded_is_parsed(event: str, payload: JsonValue) -> None:
    message = parse(encode(event, payload))
    assert (message.event, message.payload) == (event, payload)


@given(json_values)
def test_decoding_anything_gives_a_payload_or_a_sentence(payload: JsonValue) -> None:
    for model in MODELS:
        try:
            decode(model, payload)
        except BadMessage as error:
            reason: str | None = str(error)
        else:
            reason = None
        assert reason is None or 0 < len(reason) <= 200
    try:
        decode_log_lines(payload)
    except BadMessage as error:
        assert len(str(error)) <= 200  # noqa: PT017


@pytest.mark.parametrize("model", MODELS)
def test_null_and_empty_payloads_are_zero_and_none_at_all_is_refused(model: type[WireModel]) -> None:
    assert decode(model, None) == decode(model, {}) == model()
    with pytest.raises(BadMessage, match="no payload"):
        decode(model, ABSENT)


def test_absent_and_null_payloads_are_told_apart() -> None:
    assert parse('{"event":"a"}').payload is ABSENT
    assert parse('{"event":"a","payload":null}').payload is None
    assert json.loads(encode("a")) == {"event": "a"}
    assert json.loads(encode("a", None)) == {"event": "a", "payload": None}


def test_keys_match_in_any_case() -> None:
    assert parse('{"Event":"a","PAYLOAD":1}').payload == 1
    assert decode(Scroll, {"Delta_X": 2}).deltas == (2, 0)
