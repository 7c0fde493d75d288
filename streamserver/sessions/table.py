"""The sessions there are, by id and by token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from streamserver.members.profile import MemberProfile
from streamserver.sessions.entry import Entry
from streamserver.sessions.errors import SessionNotFoundError
from streamserver.sessions.model import API_SESSION_ID, Session, SessionId
from streamserver.sessions.store import StoredSession, dump

API_PROFILE = MemberProfile(
    name="API Session",
    is_admin=True,
    can_login=True,
    can_watch=True,
    can_host=True,
    can_access_clipboard=True,
)
"""The rights behind `session.api_token`: an admin that cannot connect."""


class SessionTable:
    """Finds sessions.

    Tokens are looked up by digest, so that the time this takes tells nothing of a nearly right one.
    """

    def __init__(self, clock: Callable[[], float], api_token: str) -> None:
        """`clock`: monotonic seconds; an empty `api_token` is none."""
        self._clock = clock
        self._entries: dict[SessionId, Entry] = {}
        self._by_token: dict[bytes, Entry] = {}
        self._api_digest = _digest(api_token) if api_token else None
        self.api_session = Session(API_SESSION_ID, API_PROFILE)
        """The virtual session of the API token; never listed."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, session_id: SessionId, profile: MemberProfile, token: str) -> Session:
        """Take in a new session."""
        entry = Entry(Session(session_id, profile), token, self._clock())
        self._entries[session_id] = entry
        self._by_token[_digest(token)] = entry
        return entry.session

    def remove(self, entry: Entry) -> None:
        """Forget a session and its token."""
        del self._entries[entry.session.id]
        del self._by_token[_digest(entry.token)]

    def entries(self) -> tuple[Entry, ...]:
        """Return all, oldest first; a copy, so that it may change meanwhile."""
        return tuple(self._entries.values())

    def sessions(self) -> list[Session]:
        """Return all, oldest first."""
        return [entry.session for entry in self._entries.values()]

    def entry(self, session_id: str) -> Entry:
        """Return the one with this id. Raises `SessionNotFoundError`."""
        entry = self._entries.get(SessionId(session_id))
        if entry is None:
            raise SessionNotFoundError
        return entry

    def entry_of(self, session: Session) -> Entry | None:
        """Return the one of this very session; None when it is gone, even if its id is in use again."""
        entry = self._entries.get(session.id)
        return entry if entry is not None and entry.session is session else None

    def by_token(self, token: str) -> Session | None:
        """Return the session a token belongs to."""
        digest = _digest(token)
        if self._api_digest is not None and hmac.compare_digest(digest, self._api_digest):
            return self.api_session
        entry = self._by_token.get(digest)
        return entry.session if entry else None

    def away_longest(self) -> Entry | None:
        """Return the one that has not been in use for the longest time; None when all are in use."""
        away = [e for e in self._entries.values() if not (e.session.is_connected or e.session.is_watching)]
        return min(away, key=lambda entry: entry.idle_since, default=None)

    def content(self) -> bytes:
        """Return what the session file has to have."""
        return dump(StoredSession(e.session.id, e.token, e.session.profile) for e in self._entries.values())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
