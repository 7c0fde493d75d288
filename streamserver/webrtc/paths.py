"""A way to one viewer, and whose it is: what the sockets and the ICE agents know of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Literal, Protocol

from .stun import Check

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""A source or destination as the socket module gives it: IPv4, or IPv6 with flow label and scope."""

MAX_PATHS = 16
"""Addresses one viewer may have in use; a further one replaces the one that was silent longest."""


class Path(ABC):
    """An address that showed with an authenticated check that a viewer is behind it.

    `checked_at`: when it last did, in seconds of `time.monotonic`. `unanswered`: checks from there since the
    viewer last answered one of ours.
    """

    __slots__ = ("agent", "checked_at", "remote", "unanswered")

    protocol: Literal["udp", "tcp"]

    def __init__(self, remote: SocketAddress, agent: Agent) -> None:
        self.remote = remote
        self.agent = agent
        self.checked_at = 0.0
        self.unanswered = 0

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether a send now would be taken."""

    @abstractmethod
    def send(self, data: bytes) -> bool:
        """Send one datagram; False if it was not taken."""

    @abstractmethod
    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send datagrams of `stride` bytes, the last may be shorter.

        What the network refuses is lost, as on any network. False: there is no room and nothing was sent.
        """

    @abstractmethod
    def drop(self) -> None:
        """Give it up: what comes from there is a stranger's again. Safe to call again."""


class Agent(Protocol):
    """The owner of a user name fragment: one viewer's ICE-lite end."""

    paths: set[Path]

    @property
    def selected(self) -> Path | None:
        """The path that media goes out on."""

    def accepts(self, check: Check, source: Hashable) -> bool:
        """Whether an authenticated check is not one that somebody recorded and sends again."""

    def check_received(self, path: Path, check: Check) -> None:
        """Note an authenticated and accepted check on a path."""

    def answer_received(self, path: Path, answer: Check) -> None:
        """Note an answer to a check of our own, not yet authenticated."""

    def data_received(self, path: Path, data: memoryview) -> None:
        """Take a datagram of DTLS, SRTP or SRTCP; the memory is used again afterwards."""


def make_room(agent: Agent) -> None:
    """Drop the path of the agent that was silent longest, if it has as many as it may."""
    if len(agent.paths) >= MAX_PATHS:
        idle = (path for path in agent.paths if path is not agent.selected)
        min(idle, key=lambda path: path.checked_at).drop()
