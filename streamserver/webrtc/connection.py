"""What a peer and its senders need of the way to the viewer, however ICE finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from .consent import Freshness


class ViewerConnection(Protocol):
    """One viewer's connection: `ice_lite.LiteConnection` on the shared ports, or `full_ice.FullConnection`.

    `on_path_change()` is called when media goes to another address from now on; `on_delivery(first_byte)`
    when a datagram is handed to DTLS. `bytes_received`, `bytes_sent` count payload of UDP, or of TCP's
    frames. `is_lite`: whether we only answer checks (RFC 8445 §2.5).
    """

    is_lite: bool
    remote_username: str | None
    remote_password: str | None
    bytes_received: int
    bytes_sent: int
    takes_sound: bool
    takes_pictures: bool
    on_path_change: Callable[[], None]
    on_delivery: Callable[[int], None] | None

    @property
    def local_username(self) -> str:
        """Our user name fragment."""

    @property
    def local_password(self) -> str:
        """Our ICE password."""

    def recv(self) -> Awaitable[bytes]:
        """Wait for the next datagram that is not STUN; ConnectionError when there will be none."""

    def send(self, data: bytes) -> Awaitable[None]:
        """Send one datagram; ConnectionError when nobody is there."""

    @property
    def writable(self) -> bool:
        """Whether the system takes datagrams now."""

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send datagrams of `stride` bytes, the last may be shorter. False: the system takes none now."""

    def send_now(self, data: bytes) -> bool:
        """Send one datagram. False: it was not taken."""

    def add_candidate(self, candidate: str) -> None:
        """Take a candidate of the viewer's, as SDP writes it; an empty one says that there are no more."""

    def freshness(self, now: float | None = None) -> Freshness:
        """Judge how long the viewer has been silent until `now` (`time.monotonic`)."""

    def forgive(self, gap: float) -> None:
        """Do not count `gap` seconds in which we could not have heard anything."""

    def revive(self) -> None:
        """Ask the viewer for a sign, after we were stopped."""

    def answered_since(self, moment: float) -> bool:
        """Whether a sign came after that moment of `time.monotonic`."""

    def restart(self) -> None:
        """Take new credentials for an ICE restart.

        Raises:
            SignalError: this connection cannot.
        """

    def protocols(self) -> Counter[str]:
        """Count the addresses the viewer comes from, by `udp` and `tcp`."""

    def shut(self) -> None:
        """Close without waiting for anything. Safe to call again."""
