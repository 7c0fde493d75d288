"""Keeping secrets and control characters out of the log: pure functions on text and fields."""

import re
from collections.abc import Mapping

MASK = "***"
"""What stands in a secret's place."""

_SECRET_NAMES = frozenset(
    {"token", "api_token", "password", "pwd", "secret", "credential", "authorization", "cookie", "set-cookie"}
)
_PARAMETER = re.compile(
    r"(?i)\b((?:access_|api_|session_)?token|password|pwd|neko_session)(\s*(?:=|%3D)\s*)(\"[^\"]*\"|'[^']*'|[^\s&;,\"'<>)\]}]+)"
)
_JSON_MEMBER = re.compile(
    r"(?i)([\"'](?:token|password|credential)[\"']\s*:\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]+")
_HINT = re.compile(r"(?i)token|password|pwd|neko_session|bearer|credential")


def redact_text(text: str) -> str:
    """Return text in which the values of `token=`, `password=`, bearer tokens and the like are masked."""
    if not _HINT.search(text):
        return text
    text = _PARAMETER.sub(rf"\g<1>\g<2>{MASK}", text)
    text = _JSON_MEMBER.sub(rf'\g<1>"{MASK}"', text)
    return _BEARER.sub(rf"\g<1>{MASK}", text)


def redact_field(name: str, value: object) -> object:
    """Return the field's value with secrets masked, at any depth of maps and lists."""
    if name.lower() in _SECRET_NAMES and value not in (None, "", False, True):
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(repr(value))
    if isinstance(value, Mapping):
        return {str(key): redact_field(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_field("", item) for item in value]
    return value


def escape_control(text: str) -> str:
    r"""Return text on one line that no terminal acts on: unprintable characters become `\n`, `\x1b` …."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
