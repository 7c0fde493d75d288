"""The file of `member.file.path`, in neko's format: `{"<user>": {"password": …, "profile": {…}}}`."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from streamserver.members.errors import MemberFileError
from streamserver.members.profile import BadProfileError, MemberProfile
from streamserver.whole_file import replace_whole


@dataclass(frozen=True, slots=True)
class KeptMember:
    """One entry of the file."""

    password: str
    """As it is kept: an argon2 hash, neko's hash, or the password itself."""
    profile: MemberProfile


Members = dict[str, KeptMember]
"""Entries by username, in the order of the file."""

Version = tuple[int, ...]
"""Which file was read: another one, or another content, has another version. Empty: there was none."""


def parse(content: bytes) -> Members:
    """Return the members in `content`; none when it is empty. Raises ValueError with a sentence."""
    if not content.strip():
        return {}
    try:
        document: JsonValue = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}: no JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError('it is not an object of members such as {"ann": {"password": …, "profile": {…}}}')
    return {username: _member(username, entry) for username, entry in document.items()}


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice in one object")
    return found


def _member(username: str, entry: JsonValue) -> KeptMember:
    if not isinstance(entry, dict) or not isinstance(entry.get("password"), str):
        raise ValueError(f"the member {username!r} has no password")
    profile = entry.get("profile")
    if profile is not None and not isinstance(profile, dict):
        raise ValueError(f"the profile of the member {username!r} is no object")
    try:
        return KeptMember(str(entry["password"]), MemberProfile().merge(profile or {}))
    except BadProfileError as error:
        raise ValueError(f"the member {username!r}: {error}") from None


def dump(members: Mapping[str, KeptMember]) -> bytes:
    """Return the content of the file."""
    document = {
        username: {"password": member.password, "profile": member.profile.to_wire()}
        for username, member in members.items()
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def read(path: Path) -> tuple[Members, Version]:
    """Return the members and the version of the file; an absent one has none. Raises `MemberFileError`."""
    try:
        # O_NONBLOCK: a pipe in its place is refused below, not waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise MemberFileError(f"member.file.path {path} is not a file")
            content = file.read()
    except FileNotFoundError:
        return {}, ()
    except MemberFileError:
        raise
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise MemberFileError(f"member.file.path {path} cannot be read: {why}") from error
    try:
        return parse(content), _version(status)
    except ValueError as error:
        raise MemberFileError(
            f"member.file.path {path} is damaged and was left as it is, repair it: {error}"
        ) from None


def version_of(path: Path) -> Version:
    """Return the version of the file that is there now."""
    try:
        return _version(path.stat())
    except FileNotFoundError:
        return ()


def _version(status: os.stat_result) -> Version:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def replace_file(path: Path, members: Mapping[str, KeptMember], version: Version) -> bool:
    """Replace the file as a whole, readable by its owner only; the old or the new one survives a crash.

    Returns False, with nothing changed, when the file is no longer the one of `version`.
    Raises `MemberFileError`; then the old file is as it was.
    """
    content = dump(members)
    try:
        path = path.resolve()  # a symbolic link stays one
        return replace_whole(path, content, unchanged=lambda: version_of(path) == version)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise MemberFileError(f"member.file.path {path} cannot be written: {why}") from error
