"""Members from the configuration, in memory: changes last until the server ends."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import JsonValue

from streamserver.members.errors import InvalidCredentials, MemberExistsError, MemberNotFoundError
from streamserver.members.passwords import digest
from streamserver.members.profile import MemberProfile
from streamserver.usernames import check_username

if TYPE_CHECKING:
    from streamserver.config.settings import ObjectSettings


@dataclass(frozen=True, slots=True)
class _Member:
    password: bytes
    """Its SHA-256: of one length, so that comparing takes the same time."""
    profile: MemberProfile


_NOBODY = _Member(digest("a password nobody has"), MemberProfile())


class ObjectProvider:
    """Keeps the members of `member.object.users`; the id of one is its name."""

    def __init__(self, settings: ObjectSettings) -> None:
        self._members = {
            user.username: _Member(
                digest(user.password.get_secret_value()), MemberProfile().merge(user.profile)
            )
            for user in settings.users
        }

    async def authenticate(self, username: str, password: str) -> tuple[str, MemberProfile]:
        """Return the name as id, and the profile; its name is the username where it has none."""
        member = self._members.get(username, _NOBODY)
        is_right = hmac.compare_digest(digest(password), member.password)
        if member is _NOBODY or not is_right:
            raise InvalidCredentials("wrong name or password")
        return username, member.profile.named(username)

    async def insert(self, username: str, password: str, profile: MemberProfile) -> str:
        """Add a member; see `MemberProvider.insert`."""
        check_username(username)
        if username in self._members:
            raise MemberExistsError(username)
        self._members[username] = _Member(digest(password), profile)
        return username

    async def update_profile(self, member_id: str, changes: Mapping[str, JsonValue]) -> None:
        """Change a profile; see `MemberProvider.update_profile`."""
        member = self._member(member_id)
        self._members[member_id] = replace(member, profile=member.profile.merge(changes))

    async def update_password(self, member_id: str, password: str) -> None:
        """Change a password; see `MemberProvider.update_password`."""
        self._members[member_id] = replace(self._member(member_id), password=digest(password))

    async def select(self, member_id: str) -> MemberProfile:
        """Return a profile; see `MemberProvider.select`."""
        return self._member(member_id).profile

    async def select_all(self) -> dict[str, MemberProfile]:
        """Return all profiles, those of the configuration first."""
        return {name: member.profile for name, member in self._members.items()}

    async def delete(self, member_id: str) -> None:
        """Remove a member; see `MemberProvider.delete`."""
        self._member(member_id)
        del self._members[member_id]

    def _member(self, member_id: str) -> _Member:
        try:
            return self._members[member_id]
        except KeyError:
            raise MemberNotFoundError(member_id) from None
