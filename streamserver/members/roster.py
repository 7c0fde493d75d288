"""Members and their sessions kept in step: neko's member manager."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from streamserver.members.errors import MemberNotFoundError
from streamserver.members.profile import MemberProfile

if TYPE_CHECKING:  # sessions know members, not the other way round
    from streamserver.members.provider import MemberProvider
    from streamserver.sessions.manager import SessionManager


class Roster:
    """Changes members, and with them the sessions they have.

    A provider's own change comes first: when it fails nothing happened to the session.
    """

    def __init__(self, provider: MemberProvider, sessions: SessionManager) -> None:
        self._provider = provider
        self._sessions = sessions
        self.turn = asyncio.Lock()
        """Held by a login from the check of the password to the session, and by every change of a member.

        So nobody gets a session with a profile that was just changed or removed, guesses are counted one
        by one, and one slow hash is computed at a time.
        """

    async def list(self) -> dict[str, MemberProfile]:
        """Return the profiles of the provider's members by id."""
        return await self._provider.select_all()

    async def select(self, member_id: str) -> MemberProfile:
        """Return the profile of the member's session, else the provider's. Raises `MemberNotFoundError`."""
        if (session := self._sessions.get(member_id)) is not None:
            return session.profile
        return await self._provider.select(member_id)

    async def insert(self, username: str, password: str, profile: MemberProfile) -> str:
        """Add a member and return its id; raises as `MemberProvider.insert`."""
        async with self.turn:
            return await self._provider.insert(username, password, profile)

    async def update_profile(self, member_id: str, changes: Mapping[str, JsonValue]) -> None:
        """Lay `changes` over the member's profile, and over its session's.

        Over each by itself: what a session was given for its lifetime does not get into the provider.
        Raises `MemberNotFoundError` or `BadProfileError`.
        """
        async with self.turn:
            await self.select(member_id)
            await self._provider.update_profile(member_id, changes)
            if (session := self._sessions.get(member_id)) is not None:
                self._sessions.update_profile(session, session.profile.merge(changes))

    async def update_password(self, member_id: str, password: str) -> None:
        """Give the member another password; its session stays. Raises as `MemberProvider.update_password`."""
        async with self.turn:
            await self.select(member_id)
            await self._provider.update_password(member_id, password)

    async def delete(self, member_id: str) -> None:
        """Remove the member and end its session.

        Raises `MemberNotFoundError`, or `NoMemberListError` with the session untouched.
        """
        async with self.turn:
            await self.select(member_id)
            try:
                await self._provider.delete(member_id)
            except MemberNotFoundError:
                if self._sessions.get(member_id) is None:
                    raise
            if self._sessions.get(member_id) is not None:
                self._sessions.delete(member_id)
