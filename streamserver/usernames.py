"""Which names a member may have."""

import unicodedata


class BadUsernameError(ValueError):
    """No member can have this name; the message says why."""


LONGEST_NAME = 256
"""Letters of a name; a login takes no more."""

LONGEST_PASSWORD = 1024
"""Letters of a password; a login takes no more."""

RESERVED = "API"
"""The session of `session.api_token`, as which nobody can log in."""

_NOT_IN_A_PATH = "/\\"
_NOT_TEXT = ("Cc", "Cs", "Zl", "Zp")


def check_username(username: str) -> None:
    """Raise `BadUsernameError` for a name that a member cannot have.

    The name is the member's id, so it must be one part of a URL's path (`/api/members/{id}`), and what people
    and logs read as one line.
    """
    if not username:
        raise BadUsernameError("a username cannot be empty")
    if len(username) > LONGEST_NAME:
        raise BadUsernameError(f"a username has at most {LONGEST_NAME} letters")
    if username == RESERVED:
        raise BadUsernameError(f"the username {RESERVED} is the API token's")
    if username in (".", "..") or any(letter in username for letter in _NOT_IN_A_PATH):
        raise BadUsernameError(f"the username {username!r} cannot be part of an address")
    if any(unicodedata.category(letter) in _NOT_TEXT for letter in username):
        raise BadUsernameError(f"the username {username!r} has letters that are not text")
