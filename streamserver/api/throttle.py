"""How failed logins slow down further attempts: pure, time comes in as an argument.

A source of attempts (a client address, a username) may fail a few times for free. Every failure after that
makes it wait, twice as long each time, up to a cap. An attempt made during the wait is refused unseen and
costs nothing.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class ThrottlePolicy:
    """How one kind of source is slowed down. Times in seconds."""

    free: int = 5
    """Failures that cost no waiting."""
    first_delay: float = 1.0
    """The wait after the first failure that is not free; doubles with each one after it."""
    longest_delay: float = 60.0
    """The most anybody waits."""
    forget_after: float = 900.0
    """A source without failures for this long starts afresh."""
    capacity: int = 10_000
    """Sources remembered; when full, the one whose last failure is oldest is forgotten."""

    def delay(self, failures: int) -> float:
        """Return the wait after this many failures in a row."""
        paid = failures - self.free
        if paid <= 0:
            return 0.0
        if paid > 64:  # 2.0**1024 overflows, and no cap is that long
            return self.longest_delay
        return min(self.longest_delay, self.first_delay * 2.0 ** (paid - 1))


@dataclass(slots=True)
class _Record:
    failures: int
    last: float


class Slowdown:
    """The failures of one kind of source, bounded by `policy.capacity`."""

    def __init__(self, policy: ThrottlePolicy) -> None:
        self._policy = policy
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, source: str, now: float) -> float:
        """Return the seconds until `source` may try again; 0 when it may now."""
        record = self._records.get(source)
        if record is None or self._expired(record, now):
            return 0.0
        return max(0.0, self._policy.delay(record.failures) - (now - record.last))

    def failed(self, source: str, now: float) -> None:
        """Count a failure."""
        record = self._records.pop(source, None)
        failures = 0 if record is None or self._expired(record, now) else record.failures
        self._records[source] = _Record(failures + 1, now)
        while len(self._records) > self._policy.capacity or self._expired(
            next(iter(self._records.values())), now
        ):
            self._records.popitem(last=False)

    def forget(self, source: str) -> None:
        """Let `source` start afresh."""
        self._records.pop(source, None)

    def _expired(self, record: _Record, now: float) -> bool:
        return now - record.last >= self._policy.forget_after


ADDRESS_POLICY = ThrottlePolicy()
USERNAME_POLICY = ThrottlePolicy(free=10, longest_delay=30.0)
"""Milder than an address: somebody else's failures must not lock a person out for long."""


class LoginThrottle:
    """Slows down guessing from one address, and guessing of one username from many addresses."""

    def __init__(
        self,
        address_policy: ThrottlePolicy = ADDRESS_POLICY,
        username_policy: ThrottlePolicy = USERNAME_POLICY,
    ) -> None:
        self._addresses = Slowdown(address_policy)
        self._usernames = Slowdown(username_policy)

    @classmethod
    def up_to(cls, longest_delay: float) -> LoginThrottle:
        """Return a throttle with this longest wait for an address, and half of it for a username."""
        return cls(
            replace(ADDRESS_POLICY, longest_delay=longest_delay),
            replace(USERNAME_POLICY, longest_delay=longest_delay / 2),
        )

    def wait(self, address: str, username: str, now: float) -> float:
        """Return the seconds until this pair may try again; 0 when it may now."""
        return max(
            self._addresses.wait(network_of(address), now), self._usernames.wait(_folded(username), now)
        )

    def failed(self, address: str, username: str, now: float) -> None:
        """Count a wrong password or an unknown user."""
        self._addresses.failed(network_of(address), now)
        self._usernames.failed(_folded(username), now)

    def succeeded(self, username: str) -> None:
        """Let the username start afresh.

        Not the address: somebody who knows one password could otherwise log in between two guesses of
        another.
        """
        self._usernames.forget(_folded(username))


def network_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 an IPv6 address is in.

    One customer usually has a whole /64 (RFC 6177), so that single IPv6 addresses cost a guesser nothing.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)


def _folded(username: str) -> str:
    return username.casefold()[:128]
