"""Who answers to which ICE user name fragment, and what finding that out may cost.

The sockets bring what they received; a check that costs more than a look-up is paid for from a budget. So a
flood of any kind costs a bounded number of the expensive operations: HMACs here, deliveries in `ice_lite`.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from .paths import Agent, Path
from .rate_limit import RateLimit
from .stun import BINDING_SUCCESS, Check, IntegrityKey, parse_check

SOURCE_CHECKS = (50.0, 100)
"""Checks from one address that are verified: per second on average, and at once. Browsers send
20 a second."""

STRANGERS_CHECKS = (200.0, 400)
"""Checks for one viewer from addresses that are not its own (yet), all of them together: sources can be
forged."""

REMEMBERED_SOURCES = 1024
"""Addresses whose budget is remembered; one that was forgotten begins anew."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A check that is authentic and no replay, whom it is for, and the key to sign the answer with."""

    check: Check
    agent: Agent
    key: IntegrityKey


class _Entry:
    """A registered agent. `strangers`: what checks from unknown addresses may cost."""

    __slots__ = ("agent", "key", "strangers")

    def __init__(self, agent: Agent, key: IntegrityKey) -> None:
        self.agent = agent
        self.key = key
        self.strangers = RateLimit(*STRANGERS_CHECKS, time.monotonic())


class Agents:
    """The agents by user name fragment. `dropped`: messages by reason; `verified`: HMACs that were
    computed."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.verified = 0
        self._entries: dict[bytes, _Entry] = {}
        self._sources: OrderedDict[Hashable, RateLimit] = OrderedDict()

    def register(self, ufrag: str, key: IntegrityKey, agent: Agent) -> None:
        """Let checks for that user name fragment, signed with that key, go to the agent."""
        self._entries[ufrag.encode()] = _Entry(agent, key)

    def unregister(self, ufrag: str) -> None:
        """Let checks for that user name fragment be dropped again."""
        self._entries.pop(ufrag.encode(), None)

    def knows(self, ufrag: str) -> bool:
        """Whether somebody has that user name fragment."""
        return ufrag.encode() in self._entries

    def admit(self, message: memoryview, source: Hashable, path: Path | None) -> Admitted | None:
        """Authenticate a message that looks like STUN; None if nothing must come of it.

        Args:
            message: what was received.
            source: where it came from.
            path: the path from there, if there is one; an answer on it goes to its agent.
        """
        check = parse_check(message)
        if check is None:
            self._take_answer(message, source, path)
            return None
        entry = self._entries.get(check.local_ufrag)
        if entry is None:
            self.dropped["unknown_ufrag"] += 1
            return None
        stranger = path is None or path.agent is not entry.agent
        if not self._affordable(source, entry.strangers if stranger else None):
            self.dropped["over_budget"] += 1
            return None
        self.verified += 1
        if not check.authentic(entry.key):
            self.dropped["bad_integrity"] += 1
            return None
        if not entry.agent.accepts(check, source):
            self.dropped["replayed"] += 1
            return None
        return Admitted(check, entry.agent, entry.key)

    def _take_answer(self, message: memoryview, source: Hashable, path: Path | None) -> None:
        answer = parse_check(message, BINDING_SUCCESS) if path is not None else None
        if path is None or answer is None:
            self.dropped["bad_stun"] += 1
        elif not self._affordable(source, None):
            self.dropped["over_budget"] += 1
        else:
            self.verified += 1
            path.agent.answer_received(path, answer)

    def _affordable(self, source: Hashable, strangers: RateLimit | None) -> bool:
        now = time.monotonic()
        budget = self._sources.get(source)
        if budget is None:
            budget = self._sources[source] = RateLimit(*SOURCE_CHECKS, now)
            if len(self._sources) > REMEMBERED_SOURCES:
                self._sources.popitem(last=False)
        return budget.allow(now) and (strangers is None or strangers.allow(now))
