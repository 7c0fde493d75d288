"""The flows of one instance that count, and which of them are use now. Pure: time and flows come in.

A flow that holds (TCP, unless silent connections may sleep) is use while it is open. Any other is use while
its packet counter moves from one look to the next; a first look at a flow, and a kernel that does not
count, are movement.
"""

from collections.abc import Iterable
from enum import StrEnum
from itertools import islice

from hostagent.activity.classify import FlowKey, FlowRule, flow_key, is_open
from hostagent.activity.contract import Flow, FlowEvent


class Change(StrEnum):
    """What an event was for the instance; these are values of a metric's label."""

    IGNORED = "ignored"
    """It does not count, or was known already."""
    ADDED = "added"
    """Somebody is there: a new flow, or one that changed."""
    REMOVED = "removed"
    """Somebody ended a flow."""
    EXPIRED = "expired"
    """A silent flow was forgotten by the kernel: nobody did anything."""


class FlowSet:
    """Open flows that count."""

    def __init__(self, rule: FlowRule) -> None:
        self.rule = rule
        self.last_use: float | None = None
        """When use was seen last (the caller's clock): an upper bound, since counters are looked at now
        and then.
        """
        self._in_use: dict[FlowKey, Flow] = {}
        self._silent: dict[FlowKey, Flow] = {}

    @property
    def in_use(self) -> int:
        """How many flows are use, as of the last look or event."""
        return len(self._in_use)

    @property
    def silent(self) -> int:
        """How many flows may become use again without any event; somebody has to look."""
        return len(self._silent)

    def examples(self, count: int) -> tuple[Flow, ...]:
        """Return some of the flows that are use."""
        return tuple(islice(self._in_use.values(), count))

    def look(self, flows: Iterable[Flow], now: float) -> int:
        """Take the kernel's table for the truth; return how many flows are use by it.

        Flows that were use and are missing ended some time before `now`, which counts as now.
        """
        in_use: dict[FlowKey, Flow] = {}
        silent: dict[FlowKey, Flow] = {}
        for flow in flows:
            if not is_open(flow) or not self.rule.counts(flow):
                continue
            key = flow_key(flow)
            before = self._in_use.get(key) or self._silent.get(key)
            (in_use if self.rule.holds(flow) or _moved(before, flow) else silent)[key] = flow
        if in_use or any(key not in silent for key in self._in_use):
            self.last_use = now
        self._in_use, self._silent = in_use, silent
        return len(in_use)

    def saw(self, event: FlowEvent, now: float) -> Change:
        """Take an event; doubled and late ones are harmless."""
        flow, key = event.flow, flow_key(event.flow)
        if event.kind == "new" and is_open(flow):
            if not self.rule.counts(flow):
                return Change.IGNORED
            self._silent.pop(key, None)
            self._in_use[key] = flow
            self.last_use = now
            return Change.ADDED
        if self._in_use.pop(key, None) is not None:
            self.last_use = now
            return Change.REMOVED
        if self._silent.pop(key, None) is None:
            return Change.IGNORED
        if event.kind == "destroy":
            return Change.EXPIRED
        self.last_use = now
        return Change.REMOVED

    def follow(self, rule: FlowRule) -> None:
        """Go on with another rule (the policy was changed); what it leaves out is forgotten."""
        self.rule = rule
        self._in_use = {key: flow for key, flow in self._in_use.items() if rule.counts(flow)}
        self._silent = {key: flow for key, flow in self._silent.items() if rule.counts(flow)}


def _moved(before: Flow | None, flow: Flow) -> bool:
    """Tell whether packets came since the look before; what cannot be told is yes."""
    return (
        before is None
        or flow.packets is None
        or flow.packets != before.packets
        or flow.tcp_state != before.tcp_state
    )
