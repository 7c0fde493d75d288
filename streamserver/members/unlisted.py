"""What providers without a list of members have in common."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from streamserver.members.errors import MemberNotFoundError, NoMemberListError
from streamserver.members.profile import MemberProfile


class Unlisted:
    """Answers every question about members for a provider that keeps none; the base of such a provider."""

    name: str
    """The provider's name in `member.provider`."""

    async def insert(self, username: str, password: str, profile: MemberProfile) -> str:
        """Raise `NoMemberListError`."""
        raise NoMemberListError(self.name)

    async def update_profile(self, member_id: str, changes: Mapping[str, JsonValue]) -> None:
        """Do nothing, as in neko: what a member may do is in its session alone."""

    async def update_password(self, member_id: str, password: str) -> None:
        """Raise `NoMemberListError`."""
        raise NoMemberListError(self.name)

    async def select(self, member_id: str) -> MemberProfile:
        """Raise `MemberNotFoundError`."""
        raise MemberNotFoundError(member_id)

    async def select_all(self) -> dict[str, MemberProfile]:
        """Return none."""
        return {}

    async def delete(self, member_id: str) -> None:
        """Raise `NoMemberListError`."""
        raise NoMemberListError(self.name)
