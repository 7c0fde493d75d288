"""The contract of a member provider."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue

from streamserver.members.profile import MemberProfile

NANOID_ALPHABET = "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The letters of generated ids and tokens (neko's, from NanoID); 64 of them, so one is 6 random bits."""

MEMBER_ID_SUFFIX = 5
"""Random letters after the user name where several people may log in under one name."""


class MemberProvider(Protocol):
    """Something that knows who may log in, and perhaps keeps a list that can be changed.

    Where there is none (`NoMemberListError`), people are members while they have a session.
    Nothing here blocks the event loop.
    """

    async def authenticate(self, username: str, password: str) -> tuple[str, MemberProfile]:
        """Return the member's id, which becomes the session's, and its profile.

        Raises `InvalidCredentials`, after the same work for every wrong pair.
        """

    async def insert(self, username: str, password: str, profile: MemberProfile) -> str:
        """Add a member and return its id.

        Raises `MemberExistsError`, `BadUsernameError` or `NoMemberListError`.
        """

    async def update_profile(self, member_id: str, changes: Mapping[str, JsonValue]) -> None:
        """Lay `changes` over the member's profile (`MemberProfile.merge`).

        Where there is no list of members this does nothing: the profile is the session's alone.
        Raises `MemberNotFoundError` or `BadProfileError`.
        """

    async def update_password(self, member_id: str, password: str) -> None:
        """Give the member another password. Raises `MemberNotFoundError` or `NoMemberListError`."""

    async def select(self, member_id: str) -> MemberProfile:
        """Return the member's profile. Raises `MemberNotFoundError`."""

    async def select_all(self) -> dict[str, MemberProfile]:
        """Return the profiles of all members by id, in a lasting order."""

    async def delete(self, member_id: str) -> None:
        """Remove the member. Raises `MemberNotFoundError` or `NoMemberListError`."""


def random_text(length: int) -> str:
    """Return `length` letters of the NanoID alphabet from the system's random source."""
    return "".join(secrets.choice(NANOID_ALPHABET) for _ in range(length))


def shared_name_id(username: str) -> str:
    """Return a new member id `<username>-<5 random letters>`, as several people may use one name."""
    return f"{username}-{random_text(MEMBER_ID_SUFFIX)}"
