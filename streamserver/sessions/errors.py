"""What the sessions room refuses. The texts that clients see are neko's."""


class SessionError(Exception):
    """Something about a session was refused; the text can be shown to a client."""


class SessionNotFoundError(SessionError):
    """No session has this id."""

    def __init__(self) -> None:
        super().__init__("session not found")


class SessionAlreadyConnectedError(SessionError):
    """A login for an id whose session is connected right now."""

    def __init__(self) -> None:
        super().__init__("session already connected")


class LoginsLockedError(SessionError):
    """A login of somebody who is no admin while `locked_logins` is on."""

    def __init__(self) -> None:
        super().__init__("logins are locked")


class TooManySessionsError(SessionError):
    """A login while `session.max_sessions` sessions are connected, so that none can be forgotten."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"all {limit} sessions of session.max_sessions are in use: wait, or raise the limit")


class ConnectRefusedError(SessionError):
    """A WebSocket was not taken; the text is the reason in `system/disconnect`."""


class SessionFileError(SessionError, OSError):
    """The file of `session.file` cannot be read or written; the message names it."""
