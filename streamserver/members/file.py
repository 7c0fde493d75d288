"""Members in a file that a person may edit while the server runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from streamserver.logs import get_logger
from streamserver.members.errors import (
    InvalidCredentials,
    MemberExistsError,
    MemberFileError,
    MemberNotFoundError,
)
from streamserver.members.member_file import KeptMember, Members, read, replace_file
from streamserver.members.passwords import hash_password, verify
from streamserver.members.profile import MemberProfile
from streamserver.usernames import check_username

log = get_logger("members")

ATTEMPTS = 10
"""How often a change is made again because somebody else changed the file meanwhile."""


class FileProvider:
    """Keeps members in a JSON file; the id of one is its name.

    The file is read for every question, so that an edit by hand holds at once, and replaced as a whole for
    every change. All work with it, and with passwords, is done in threads.
    """

    def __init__(self, path: Path, *, hashed: bool = True) -> None:
        """`hashed`: new passwords are kept as argon2 hashes, else as they are.

        Reads the file, to learn now whether that works, and makes an empty one where there is none.
        Raises `MemberFileError`.
        """
        self._path = path
        self._hashed = hashed
        self._one_change = threading.Lock()
        members, version = read(path)
        if not version:
            replace_file(path, members, version)
        if not members:
            log.warning("there are no members: add some to the file or with the API token", file=str(path))

    async def authenticate(self, username: str, password: str) -> tuple[str, MemberProfile]:
        """Return the name as id, and the profile; its name is the username where it has none."""
        profile = await asyncio.to_thread(self._check, username, password)
        return username, profile.named(username)

    async def insert(self, username: str, password: str, profile: MemberProfile) -> str:
        """Add a member; see `MemberProvider.insert`."""
        check_username(username)

        def insert(members: Members) -> None:
            if username in members:
                raise MemberExistsError(username)
            members[username] = KeptMember(kept, profile)

        kept = await asyncio.to_thread(self._keep, password)
        await self._change(insert)
        return username

    async def update_profile(self, member_id: str, changes: Mapping[str, JsonValue]) -> None:
        """Change a profile; see `MemberProvider.update_profile`."""

        def update(members: Members) -> None:
            member = _member(members, member_id)
            members[member_id] = replace(member, profile=member.profile.merge(changes))

        await self._change(update)

    async def update_password(self, member_id: str, password: str) -> None:
        """Change a password; see `MemberProvider.update_password`."""

        def update(members: Members) -> None:
            members[member_id] = replace(_member(members, member_id), password=kept)

        kept = await asyncio.to_thread(self._keep, password)
        await self._change(update)

    async def select(self, member_id: str) -> MemberProfile:
        """Return a profile; see `MemberProvider.select`."""
        members, _ = await asyncio.to_thread(read, self._path)
        return _member(members, member_id).profile

    async def select_all(self) -> dict[str, MemberProfile]:
        """Return all profiles in the order of the file."""
        members, _ = await asyncio.to_thread(read, self._path)
        return {name: member.profile for name, member in members.items()}

    async def delete(self, member_id: str) -> None:
        """Remove a member; see `MemberProvider.delete`."""

        def delete(members: Members) -> None:
            _member(members, member_id)
            del members[member_id]

        await self._change(delete)

    def _check(self, username: str, password: str) -> MemberProfile:
        members, _ = read(self._path)
        member = members.get(username)
        is_right = verify(member.password if member else None, password, hashed=self._hashed)
        if member is None or not is_right:
            raise InvalidCredentials("wrong name or password")
        return member.profile

    def _keep(self, password: str) -> str:
        return hash_password(password) if self._hashed else password

    async def _change(self, change: Callable[[Members], None]) -> None:
        """Read the file, let `change` work on what is in it, and write it.

        What `change` raises leaves the file as it was. When this is cancelled the change may still be made,
        but never a part of it.
        """
        await asyncio.to_thread(self._change_now, change)

    def _change_now(self, change: Callable[[Members], None]) -> None:
        with self._one_change:
            for _ in range(ATTEMPTS):
                members, version = read(self._path)
                change(members)
                if replace_file(self._path, members, version):
                    return
        raise MemberFileError(
            f"member.file.path {self._path} cannot be written: something else changes it all the time"
        )


def _member(members: Members, member_id: str) -> KeptMember:
    try:
        return members[member_id]
    except KeyError:
        raise MemberNotFoundError(member_id) from None
