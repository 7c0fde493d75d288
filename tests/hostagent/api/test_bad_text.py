"""What JSON can carry and a kernel cannot take: refused by name before anything is made. Pure."""

import json

import pytest
from pydantic import ValidationError

from hostagent.api.context import _answer
from hostagent.api.wire import CreateInstanceRequest, PortMapping

HALF = "\ud800"
GOOD: dict[str, object] = {"name": "one", "command": ["sleep", "1"]}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("command", ["sleep", HALF], "half of a character"),
        ("command", ["sleep", "a\0b"], "zero byte"),
        ("command", ["sleep", "9" * 131_072], "at most 131071"),
        ("command", [""], "names no program"),
        ("env", {"A": HALF}, "half of a character"),
        ("env", {"A": "x" * 131_070}, "at most 131071"),
        ("env", {"A B": "1"}, "no environment variable"),
        ("user", "\0", "zero byte"),
        ("working_directory", "/\0", "zero byte"),
        ("working_directory", "here", "not absolute"),
    ],
)
def test_text_that_cannot_be_given_to_a_command(field: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        CreateInstanceRequest.model_validate(GOOD | {field: value})


def test_the_longest_word_is_taken() -> None:
    body = CreateInstanceRequest.model_validate(GOOD | {"command": ["sleep", "9" * 131_071]})
    assert len(body.spec().command[1]) == 131_071


def test_an_address_with_a_zone_is_no_address_to_publish_at() -> None:
    with pytest.raises(ValidationError, match="has a zone"):
        PortMapping(host_port=1, guest_port=1, host_address="fe80::1%eth0")


def test_a_refusal_that_quotes_what_is_no_text_can_be_sent() -> None:
    body = json.loads(bytes(_answer(400, "bad_request", f"auto_standby.{HALF} is unknown").body))
    assert body["message"] == "auto_standby.\\ud800 is unknown"
