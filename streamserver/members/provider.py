"""The contract of a member provider, and the choice of one."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

from streamserver.members.profile import MemberProfile

if TYPE_CHECKING:
    from streamserver.config.settings import MemberSettings

NANOID_ALPHABET = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The letters of generated ids and tokens (neko's, from NanoID); 64 of them, so one is 6 random bits."""

MEMBER_ID_SUFFIX = 5
"""Random letters after the user name where several people may log in under one name."""


class InvalidCredentials(Exception):  # noqa: N818 (a plain answer, not a fault)
    """Name or password is wrong; which of them is never said."""


class MemberProvider(Protocol):
    """Something that knows who may log in."""

    def authenticate(self, username: str, password: str) -> tuple[str, MemberProfile]:
        """Return the member's id, which becomes the session's, and its profile.

        Raises `InvalidCredentials`, after the same work for every wrong pair.
        """


def random_text(length: int) -> str:
    """Return `length` letters of the NanoID alphabet from the system's random source."""
    return "".join(secrets.choice(NANOID_ALPHABET) for _ in range(length))


def shared_name_id(username: str) -> str:
    """Return a new member id `<username>-<5 random letters>`, as several people may use one name."""
    return f"{username}-{random_text(MEMBER_ID_SUFFIX)}"


def make_provider(settings: MemberSettings) -> MemberProvider:
    """Return the provider that `member.provider` names."""
    from streamserver.members.multiuser import MultiuserProvider
    from streamserver.members.noauth import NoauthProvider

    if settings.provider == "noauth":
        return NoauthProvider()
    return MultiuserProvider(settings.multiuser)
