"""The file of `session.file`: sessions that outlive the server, in neko's format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from streamserver.logs import get_logger
from streamserver.members.profile import MemberProfile
from streamserver.sessions.errors import SessionFileError
from streamserver.whole_file import replace_whole

log = get_logger("sessions")

TOKEN_LENGTH = 64
"""Letters of a token, of the NanoID alphabet: 384 random bits."""


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    Id: str
    Token: str
    Profile: MemberProfile


_RECORDS = TypeAdapter(list[_Record])


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One session as it is kept."""

    id: str
    token: str
    profile: MemberProfile


def dump(sessions: Iterable[StoredSession]) -> bytes:
    """Return the content of the file: neko's JSON array of `{"Id","Token","Profile"}`."""
    records = [{"Id": s.id, "Token": s.token, "Profile": s.profile.to_wire()} for s in sessions]
    return json.dumps(records, indent=1).encode() + b"\n"


def parse(content: bytes) -> list[StoredSession]:
    """Return the sessions in `content`; raises ValueError with a sentence when it is damaged."""
    try:
        records = _RECORDS.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{first['msg']}" + (f" (at {place})" if place else "")) from None
    ids, tokens = {r.Id for r in records}, {r.Token for r in records}
    if len(ids) != len(records) or len(tokens) != len(records):
        raise ValueError("two sessions have the same Id or Token")
    if any(not re.fullmatch(r"[^\s]{16,}", r.Token) for r in records):
        raise ValueError("a Token is shorter than 16 letters or has blanks")
    return [StoredSession(r.Id, r.Token, r.Profile) for r in records]


def load(path: Path) -> list[StoredSession]:
    """Return the kept sessions; none when there is no file.

    A damaged file is moved aside, so that nothing overwrites it, and said in the log; then nobody is
    logged in any more. Raises `SessionFileError` when it cannot be read or not be moved aside.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SessionFileError(f"session.file {path} cannot be read: {error.strerror}") from error
    if not content.strip():
        return []
    try:
        return parse(content)
    except ValueError as error:
        aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        try:
            path.rename(aside)
        except OSError as failure:
            raise SessionFileError(
                f"session.file {path} is damaged ({error}) and cannot be moved aside ({failure.strerror}): "
                "repair or remove it"
            ) from failure
        log.error(
            "session.file is damaged and was moved aside; everybody has to log in again",
            file=str(path),
            kept_as=str(aside),
            error=str(error),
        )
        return []


def save(path: Path, content: bytes) -> None:
    """Replace the file as a whole, readable by its owner only; the old or the new one survives a crash.

    Raises `SessionFileError`; then the old file is as it was.
    """
    try:
        replace_whole(path, content)
    except OSError as error:
        raise SessionFileError(f"session.file {path} cannot be written: {error.strerror}") from error
