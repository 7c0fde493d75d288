"""Keeping secrets and control characters out of the log: pure functions on text and fields."""

import math
import re
from collections.abc import Mapping

MASK = "***"
"""What stands in a secret's place."""

_SECRET_NAMES = frozenset(
    {"token", "api_token", "password", "pwd", "secret", "credential", "authorization", "cookie", "set-cookie"}
)
_PARAMETER = re.compile(
    r"(?i)\b((?:access_|api_|session_)?token|password|pwd|neko_session)(\s*(?:=|%3D)\s*)"
    r"(\"[^\"]*\"|'[^']*'|[^\s&;]+)"
)
_JSON_MEMBER = re.compile(
    r"(?i)([\"'](?:token|password|credential)[\"']\s*:\s*)(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]+")
_HINT = re.compile(r"(?i)token|password|pwd|neko_session|bearer|credential")
_DEEPEST = 6
"""Maps and lists below this depth are shown as text."""


def redact_text(text: str) -> str:
    """Return text in which the values of `token=`, `password=`, bearer tokens and the like are masked."""
    if not _HINT.search(text):
        return text
    text = _PARAMETER.sub(rf"\g<1>\g<2>{MASK}", text)
    text = _JSON_MEMBER.sub(rf'\g<1>"{MASK}"', text)
    return _BEARER.sub(rf"\g<1>{MASK}", text)


def redact_field(name: str, value: object, depth: int = 0) -> object:
    """Return a field's value as plain JSON values, with secrets masked at any depth of maps and lists.

    Objects become their text first: an exception may carry a URL with a token in it.
    """
    if name.lower() in _SECRET_NAMES and value not in (None, "", False, True):
        return MASK
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): redact_field(str(key), item, depth + 1) for key, item in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [redact_field("", item, depth + 1) for item in value]
    return redact_text(safe_text(value))


def safe_text(value: object) -> str:
    """Return an object's text; one that cannot say what it is must not stop who logs it."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 (anything may be raised by somebody's __str__)
        return f"<{type(value).__name__}>"


def escape_control(text: str) -> str:
    r"""Return text on one line that no terminal acts on: unprintable characters become `\n`, `\x1b` …."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
