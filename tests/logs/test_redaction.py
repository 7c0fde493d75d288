import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.redaction import MASK, escape_control, redact_field, redact_text

SECRET = st.text(
    st.characters(min_codepoint=48, max_codepoint=122, categories=["L", "N"]), min_size=6, max_size=64
)
"""Text like a session token's, which cannot stand in our masks and words by chance."""


@given(
    SECRET.map(lambda secret: f"zq{secret}qz"),
    st.sampled_from(["token", "password", "pwd", "Token", "NEKO_SESSION", "access_token"]),
)
def test_the_value_of_a_secret_parameter_never_shows(secret: str, name: str) -> None:
    for text in (
        f"GET /api/ws?{name}={secret} HTTP/1.1",
        f"GET /api/ws?a=1&{name}={secret}&b=2",
        f"{name}={secret}",
        f"x {name}='{secret}' y",
        f'x {name}="{secret}" y',
        f"{name}%3D{secret}",
        f"Cookie: a=b; {name}={secret}; c=d",
    ):
        masked = redact_text(text)
        assert secret not in masked
        assert MASK in masked


@given(SECRET.map(lambda secret: f"zq{secret}qz"))
def test_tokens_in_json_and_headers_never_show(secret: str) -> None:
    assert secret not in redact_text(f"Authorization: Bearer {secret}")
    assert secret not in redact_text(json.dumps({"username": "u", "password": secret}))
    assert secret not in redact_text(str({"token": secret}))
    assert secret not in str(redact_field("headers", [("authorization", f"Bearer {secret}")]))
    assert secret not in str(redact_field("deep", {"a": [{"token": secret}, (f"?token={secret}",)]}))
    assert secret not in str(redact_field("raw", f"?token={secret}".encode()))
    assert secret not in str(redact_field("error", ValueError(f"/api/ws?token={secret}")))
    for name in ("token", "Password", "authorization", "cookie", "api_token"):
        assert redact_field(name, secret) == MASK


class _Speechless:
    def __str__(self) -> str:
        raise RuntimeError


def test_fields_are_plain_values() -> None:
    assert redact_field("f", _Speechless()) == "<_Speechless>"
    assert redact_field("f", float("nan")) == "nan"
    assert redact_field("f", {1: (1.5, None, True, 7)}) == {"1": [1.5, None, True, 7]}
    endless: list[object] = []
    endless.append(endless)
    json.dumps(redact_field("f", endless))


@given(st.text())
def test_redacting_again_changes_nothing(text: str) -> None:
    assert redact_text(redact_text(text)) == redact_text(text)


@pytest.mark.parametrize(
    "text",
    ["/api/ws?a=1&b=2", "the token was refused", "tokens=3 items", "a wrong password", "bitrate=2500", ""],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact_text(text) == text


def test_a_quote_in_a_value_does_not_end_it() -> None:
    assert "cd" not in redact_text("GET /ws?password=ab'cd&x=1")
    assert redact_text("password=ab)cd,ef x") == f"password={MASK} x"


def test_what_stands_around_a_secret_stays() -> None:
    assert (
        redact_text('"GET /api/ws?token=abc&x=1 HTTP/1.1" 101')
        == f'"GET /api/ws?token={MASK}&x=1 HTTP/1.1" 101'
    )


@pytest.mark.parametrize("value", [None, True, False, ""])
def test_whether_there_is_a_token_may_be_told(value: object) -> None:
    assert redact_field("token", value) == value


@given(st.text())
def test_escaped_text_is_printable_and_on_one_line(text: str) -> None:
    escaped = escape_control(text)
    assert escaped.isprintable()
    assert len(escaped.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\nb", "a\\nb"),
        ("\r\t", "\\r\\t"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("grün 猫", "grün 猫"),
    ],
)
def test_how_control_characters_are_shown(text: str, escaped: str) -> None:
    assert escape_control(text) == escaped
