"""The server's end of ICE for one viewer: it answers checks and goes where the viewer goes (RFC 8445 §2.5).

`LiteConnection` has the methods of `aioice.Connection` that aiortc calls, so that aiortc's DTLS, SCTP and RTP
run on the one socket of `UdpMux`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence

from aioice import Candidate, ConnectionClosed

from .agents import Agents
from .consent import Consent, Freshness
from .paths import Path
from .rate_limit import RateLimit
from .stun import Check, IntegrityKey, binding_request

INBOX_LIMIT = 256
"""Datagrams that wait for DTLS; more are dropped (a handshake has ten, a viewer's RTCP two a second)."""

REMEMBERED_CHECKS = 256
"""Transaction ids kept per viewer to recognise a replayed check: ten minutes of them. An older one can renew
consent, but not move the media: see `_follow`."""

OWN_CHECKS = (10.0, 20)
"""Checks of our own to a viewer, per second on average and at once: they go where a check came from, which
whoever recorded one can forge."""

DTLS_BUDGET = (2000.0, 2000)
"""Datagrams of DTLS taken from a viewer, per second on average and at once: 1000 movements of a mouse and
their acknowledgements."""

RTCP_BUDGET = (200.0, 400)
"""Packets of RTCP taken from a viewer, per second on average and at once; a browser sends up to 30."""

SOUND_BUDGET = (200.0, 400)
"""Packets of sound taken from a viewer who is heard, per second on average and at once; browsers send 50."""

PICTURE_BUDGET = (700.0, 1400)
"""Packets of sound and camera taken from one who is seen, per second on average and at once: 6 Mbit/s."""

MAX_PINGED_PATHS = 4
"""Paths, latest first, that get a check of our own when we try to bring a viewer back."""

SILENT_PATH = 6.0
"""Seconds without a check after which the selected path gives way to any other that is checked: some agents
nominate once and never again, and a NAT may give them a new port at any time."""

UNANSWERED_CHECKS = 3
"""Checks from another address after which we go there without an answer to ours, if the selected one is
silent."""

PRIORITY_PRFLX = 110 << 24 | 65535 << 8 | 255


class LiteConnection:
    """One viewer's connection over the shared socket.

    `on_path_change()` is called when media goes to another address from now on; `on_delivery(first_byte)`
    when a datagram is handed to DTLS, which by then has dealt with all earlier ones. `bytes_received`,
    `bytes_sent` count payload of UDP, or of TCP's frames.
    """

    is_lite = True

    def __init__(self, agents: Agents, candidates: Sequence[Candidate]) -> None:
        self._agents = agents
        self._candidates = list(candidates)
        self.local_candidates: list[Candidate] = []
        self.remote_candidates: list[Candidate] = []
        self._old_usernames: list[str] = []
        self.local_username, self.local_password = self._new_credentials()
        self.remote_username: str | None = None
        self.remote_password: str | None = None
        self.remote_is_lite = False
        self.paths: set[Path] = set()
        self.consent = Consent(time.monotonic())
        self.checked = False
        self.bytes_received = 0
        self.bytes_sent = 0
        self.overflowed = 0
        self.takes_sound = self.takes_pictures = False
        self.on_path_change: Callable[[], None] = _ignore
        self.on_delivery: Callable[[int], None] | None = None
        self._selected: Path | None = None
        self._nominated: Path | None = None
        self._inbox: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = asyncio.Event()
        self._reachable = asyncio.Event()
        self._seen: OrderedDict[bytes, Hashable] = OrderedDict()
        self._own_checks: OrderedDict[bytes, Path] = OrderedDict()
        self._answered_at = float("-inf")
        self._tie_breaker = secrets.randbits(64)
        now = time.monotonic()
        self._checking = RateLimit(*OWN_CHECKS, now)
        self._dtls = RateLimit(*DTLS_BUDGET, now)
        self._rtcp = RateLimit(*RTCP_BUDGET, now)
        self._sound = RateLimit(*SOUND_BUDGET, now)
        self._pictures = RateLimit(*PICTURE_BUDGET, now)

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
        self._selected.send(data)
        self.bytes_sent += len(data)

    @property
    def writable(self) -> bool:
        """Whether the system takes datagrams now."""
        return self._selected is None or self._selected.writable

    def send_segments(self, data: memoryview, stride: int) -> bool:
        """Send datagrams of `stride` bytes, of which the last may be shorter; without a path they are lost.

        False: the system takes none now.
        """
        if self._selected is None:
            return True
        if not self._selected.send_segments(data, stride):
            return False
        self.bytes_sent += len(data)
        return True

    def send_now(self, data: bytes) -> bool:
        """Send one datagram, if there is a path and the system takes it."""
        if self._selected is None or not self._selected.send(data):
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

    def accepts(self, check: Check, source: Hashable) -> bool:
        """Refuse a check whose transaction id came from another address before: it is a replay."""
        if self._seen.setdefault(check.transaction_id, source) != source:
            return False
        if len(self._seen) > REMEMBERED_CHECKS:
            self._seen.popitem(last=False)
        return True

    def check_received(self, path: Path, check: Check) -> None:
        """Renew consent; the first check selects its path, later ones do when they nominate it."""
        self._alive(path)
        if self._old_usernames and check.local_ufrag == self.local_username.encode():
            self._drop_old_usernames()
            self._answered_at = path.checked_at  # nobody knew these credentials before
        if check.use_candidate:
            self._nominated = path
        if self._selected is None:
            # Waiting for the nomination would cost one more round of checks, 50 ms.
            self._selected = path
            self._reachable.set()
        elif self._wants(path):
            self._follow(path)

    def answer_received(self, path: Path, answer: Check) -> None:
        """Renew consent by an answer to a check that we sent there, and go there if that is what it was
        for."""
        if self.remote_password is None or self._own_checks.get(answer.transaction_id) is not path:
            return
        if answer.authentic(IntegrityKey(self.remote_password)):
            del self._own_checks[answer.transaction_id]
            self._alive(path)
            path.unanswered = 0
            self._answered_at = path.checked_at
            if self._wants(path):
                self._select(path)

    def data_received(self, path: Path, data: memoryview) -> None:
        """Queue a datagram for DTLS, unless the viewer sends more than it can have reason to."""
        self.bytes_received += len(data)
        if data[0] < 64:
            budget = self._dtls
        elif len(data) > 1 and 192 <= data[1] <= 223:  # RTCP: RFC 5761 §4
            budget = self._rtcp
        elif self.takes_pictures:
            budget = self._pictures
        elif self.takes_sound:
            budget = self._sound
        else:
            self._agents.dropped["unwanted_media"] += 1
            return
        if not budget.allow(time.monotonic()):
            self._agents.dropped["over_budget"] += 1
        elif len(self._inbox) >= INBOX_LIMIT:
            self.overflowed += 1
        else:
            self._inbox.append(bytes(data))
            self._wake()

    # What the peer and the sweep call.

    @property
    def closed(self) -> bool:
        """Whether nothing comes or goes any more."""
        return self._closed.is_set()

    def add_candidate(self, candidate: str) -> None:
        """Ignore it: the viewer's address is where its checks come from."""

    def freshness(self, now: float | None = None) -> Freshness:
        """Judge how long the viewer has been silent."""
        return self.consent.freshness(time.monotonic() if now is None else now)

    def forgive(self, gap: float) -> None:
        """Do not count `gap` seconds in which we could not have heard anything."""
        self.consent.forgive(gap)

    def protocols(self) -> Counter[str]:
        """Count the paths by `udp` and `tcp`."""
        return Counter(path.protocol for path in self.paths)

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
        latest = sorted(self.paths, key=lambda path: path.checked_at, reverse=True)
        for path in latest[:MAX_PINGED_PATHS]:
            self._check(path)

    def shut(self) -> None:
        """Close without waiting for anything; whoever waits on us gets its ConnectionError."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._agents.unregister(self.local_username)
        self._drop_old_usernames()
        for path in tuple(self.paths):
            path.drop()
        self._selected = self._nominated = None
        self._own_checks.clear()
        self._inbox.clear()
        self.on_delivery = None
        self.on_path_change = _ignore
        self._wake()

    def _alive(self, path: Path) -> None:
        now = time.monotonic()
        path.checked_at = now
        self.checked = True
        self.consent.renew(now)

    def _wants(self, path: Path) -> bool:
        """Whether media should go there: the viewer says so, or the present way is dead."""
        if path is self._selected or path not in self.paths:
            return False
        return path is self._nominated or self._selected_is_silent()

    def _selected_is_silent(self) -> bool:
        selected = self._selected
        if selected is None or selected not in self.paths:
            return True
        return time.monotonic() - selected.checked_at > SILENT_PATH

    def _follow(self, path: Path) -> None:
        """Go to another address once the viewer itself answers from there.

        A check alone may be a recorded one: whoever has it could direct the media elsewhere. A viewer that
        does not answer is followed after some checks if it is silent everywhere else. Before the
        viewer's answer there is no password to ask it with, and nothing worth directing.
        """
        path.unanswered += 1
        given_up = path.unanswered > UNANSWERED_CHECKS and self._selected_is_silent()
        if self.remote_password is None or given_up:
            self._select(path)
        else:
            self._check(path)

    def _select(self, path: Path) -> None:
        self._selected = path
        self.on_path_change()

    def _check(self, path: Path) -> None:
        """Send a check of our own on the path, if the viewer's answer told us how and it is not too often."""
        if self.remote_username is None or self.remote_password is None or self.closed:
            return
        if not self._checking.allow(time.monotonic()):
            return
        transaction_id = secrets.token_bytes(12)
        self._own_checks[transaction_id] = path
        if len(self._own_checks) > REMEMBERED_CHECKS:
            self._own_checks.popitem(last=False)
        username = f"{self.remote_username}:{self.local_username}"
        key = IntegrityKey(self.remote_password)
        path.send(binding_request(transaction_id, username, PRIORITY_PRFLX, self._tie_breaker, key))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _new_credentials(self) -> tuple[str, str]:
        """Draw and register a user name fragment and a password (RFC 8445 §5.3: 24 and 128 bits at least)."""
        while self._agents.knows(ufrag := secrets.token_hex(4)):
            pass
        password = secrets.token_hex(16)
        self._agents.register(ufrag, IntegrityKey(password), self)
        return ufrag, password

    def _drop_old_usernames(self) -> None:
        for username in self._old_usernames:
            self._agents.unregister(username)
        self._old_usernames.clear()


def _ignore() -> None:
    pass
