"""The server's end of ICE for one viewer: it answers checks and goes where the viewer goes (RFC 8445 §2.5).

`LiteConnection` has the methods of `aioice.Connection` that aiortc calls, so that aiortc's DTLS, SCTP and RTP
run on the one socket of `UdpMux`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from aioice import Candidate, ConnectionClosed

from .consent import Consent, Freshness
from .stun import Check, IntegrityKey, binding_request
from .udp_mux import Path, SocketAddress, UdpMux

INBOX_LIMIT = 256
"""Datagrams that wait for DTLS; more are dropped (a handshake has ten, a viewer's RTCP two a second)."""

REMEMBERED_CHECKS = 64
"""Transaction ids kept per viewer to recognise a replayed check: 30 s of them and more."""

MAX_PINGED_PATHS = 4
"""Paths, latest first, that get a check of our own when we try to bring a viewer back."""

SILENT_PATH = 6.0
"""Seconds without a check after which the selected path gives way to any other that is checked: some agents
nominate once and never again, and a NAT may give them a new port at any time."""

PRIORITY_PRFLX = 110 << 24 | 65535 << 8 | 255


class LiteConnection:
    """One viewer's connection over the shared socket.

    `on_path_change()` is called when media goes to another address from now on; `on_delivery(first_byte)`
    when a datagram is handed to DTLS, which by then has dealt with all earlier ones. `bytes_received`,
    `bytes_sent` count payload of UDP.
    """

    def __init__(self, mux: UdpMux, candidates: Sequence[Candidate]) -> None:
        self._mux = mux
        self._candidates = list(candidates)
        self.local_candidates: list[Candidate] = []
        self.remote_candidates: list[Candidate] = []
        self._old_usernames: list[str] = []
        self.local_username, self.local_password = self._new_credentials()
        self.remote_username: str | None = None
        self.remote_password: str | None = None
        self.remote_is_lite = False
        self.paths: dict[SocketAddress, Path] = {}
        self.consent = Consent(time.monotonic())
        self.checked = False
        self.bytes_received = 0
        self.bytes_sent = 0
        self.overflowed = 0
        self.on_path_change: Callable[[], None] = _ignore
        self.on_delivery: Callable[[int], None] | None = None
        self._selected: Path | None = None
        self._inbox: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self._reachable = asyncio.Event()
        self._seen: OrderedDict[bytes, SocketAddress] = OrderedDict()
        self._own_checks: OrderedDict[bytes, None] = OrderedDict()
        self._answered_at = float("-inf")
        self._tie_breaker = secrets.randbits(64)

    # What aiortc calls.

    @property
    def ice_controlling(self) -> bool:
        """Always false: an ICE-lite agent is controlled. Setting it has no effect."""
        return False

    @ice_controlling.setter
    def ice_controlling(self, value: bool) -> None:
        pass

    async def gather_candidates(self) -> None:
        """Offer our addresses."""
        self.local_candidates = self._candidates

    async def add_remote_candidate(self, candidate: Candidate | None) -> None:
        """Ignore it: the viewer's address is where its checks come from."""

    async def connect(self) -> None:
        """Wait for the first authenticated check.

        Raises:
            ConnectionError: the connection was closed before.
        """
        reachable = asyncio.ensure_future(self._reachable.wait())
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait((reachable, closed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            reachable.cancel()
            closed.cancel()
        if self._closed.is_set():
            raise ConnectionError("the connection was closed before a viewer came")

    async def recv(self) -> bytes:
        """Return the next datagram that is not STUN.

        Raises:
            ConnectionError: the connection is closed.
        """
        while not self._inbox:
            if self._closed.is_set():
                raise ConnectionError("the connection is closed")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._inbox.popleft()
        if self.on_delivery is not None:
            self.on_delivery(data[0])
        return data

    async def send(self, data: bytes) -> None:
        """Send one datagram on the selected path; what the system does not take is lost, as on any network.

        Raises:
            ConnectionError: nobody is there.
        """
        if self._selected is None or self._closed.is_set():
            raise ConnectionError("there is no path to the viewer")
        self._mux.send(data, self._selected)
        self.bytes_sent += len(data)

    @property
    def writable(self) -> bool:
        """Whether the system takes datagrams now."""
        return self._mux.writable

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send datagrams of `stride` bytes, of which the last may be shorter; without a path they are lost.

        False: the system takes none now.
        """
        if self._selected is None:
            return True
        if not self._mux.send_segments(data, stride, self._selected):
            return False
        self.bytes_sent += len(data)
        return True

    def send_now(self, data: bytes) -> bool:
        """Send one datagram, if there is a path and the system takes it."""
        if self._selected is None or not self._mux.send(data, self._selected):
            return False
        self.bytes_sent += len(data)
        return True

    async def close(self) -> None:
        """Give up the user name fragment and all paths. Safe to call again."""
        self.shut()

    async def get_event(self) -> ConnectionClosed:
        """Wait for the only event there is."""
        await self._closed.wait()
        return ConnectionClosed()

    # What the mux calls.

    @property
    def selected(self) -> Path | None:
        """The path that media goes out on."""
        return self._selected

    def accepts(self, check: Check, remote: SocketAddress) -> bool:
        """Refuse a check whose transaction id came from another address before: it is a replay."""
        if self._seen.setdefault(check.transaction_id, remote) != remote:
            return False
        if len(self._seen) > REMEMBERED_CHECKS:
            self._seen.popitem(last=False)
        return True

    def check_received(self, path: Path, check: Check) -> None:
        """Renew consent; the first check selects its path, later ones do when they nominate it."""
        self._alive(path)
        if check.local_ufrag == self.local_username.encode():
            self._drop_old_usernames()
        if self._selected is None:
            # Waiting for the nomination would cost one more round of checks, 50 ms.
            self._selected = path
            self._reachable.set()
        elif path is not self._selected and (check.use_candidate or self._selected_is_gone()):
            self._selected = path
            self.on_path_change()

    def answer_received(self, path: Path, answer: Check) -> None:
        """Renew consent by an answer to a check that we sent."""
        if self.remote_password is None or answer.transaction_id not in self._own_checks:
            return
        if answer.authentic(IntegrityKey(self.remote_password)):
            del self._own_checks[answer.transaction_id]
            self._alive(path)
            self._answered_at = path.checked_at

    def data_received(self, path: Path, data: bytes) -> None:
        """Queue a datagram for DTLS."""
        self.bytes_received += len(data)
        if len(self._inbox) >= INBOX_LIMIT:
            self.overflowed += 1
            return
        self._inbox.append(data)
        self._wake()

    # What the peer and the sweep call.

    @property
    def closed(self) -> bool:
        """Whether nothing comes or goes any more."""
        return self._closed.is_set()

    def freshness(self) -> Freshness:
        """Judge how long the viewer has been silent."""
        return self.consent.freshness(time.monotonic())

    def answered_since(self, moment: float) -> bool:
        """Whether an answer to a check of ours came after that moment of `time.monotonic`."""
        return self._answered_at > moment

    def restart(self) -> None:
        """Take new credentials for an ICE restart; the old ones count until a check comes with the new."""
        self._old_usernames.append(self.local_username)
        self.local_username, self.local_password = self._new_credentials()

    def revive(self) -> None:
        """Send the viewer a check on its latest paths: a browser that gave up answers, and checks again
        itself.
        """
        if self.remote_username is None or self.remote_password is None or self.closed:
            return
        key = IntegrityKey(self.remote_password)
        username = f"{self.remote_username}:{self.local_username}"
        latest = sorted(self.paths.values(), key=lambda path: path.checked_at, reverse=True)
        for path in latest[:MAX_PINGED_PATHS]:
            transaction_id = secrets.token_bytes(12)
            self._own_checks[transaction_id] = None
            if len(self._own_checks) > REMEMBERED_CHECKS:
                self._own_checks.popitem(last=False)
            self._mux.send(
                binding_request(transaction_id, username, PRIORITY_PRFLX, self._tie_breaker, key), path
            )

    def shut(self) -> None:
        """Close without waiting for anything; whoever waits on us gets its ConnectionError."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._mux.unregister(self.local_username)
        self._drop_old_usernames()
        self._mux.forget(self)
        self._selected = None
        self._inbox.clear()
        self.on_delivery = None
        self.on_path_change = _ignore
        self._wake()

    def _alive(self, path: Path) -> None:
        now = time.monotonic()
        path.checked_at = now
        self.checked = True
        self.consent.renew(now)

    def _selected_is_gone(self) -> bool:
        selected = self._selected
        return (
            selected is None
            or selected.remote not in self.paths
            or time.monotonic() - selected.checked_at > SILENT_PATH
        )

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _new_credentials(self) -> tuple[str, str]:
        """Draw and register a user name fragment and a password (RFC 8445 §5.3: 24 and 128 bits at least)."""
        while self._mux.knows(ufrag := secrets.token_hex(4)):
            pass
        password = secrets.token_hex(16)
        self._mux.register(ufrag, IntegrityKey(password), self)
        return ufrag, password

    def _drop_old_usernames(self) -> None:
        for username in self._old_usernames:
            self._mux.unregister(username)
        self._old_usernames.clear()


def _ignore() -> None:
    pass
