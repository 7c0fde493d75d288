"""All instances the controller knows, found by id and by address."""

from collections.abc import Iterable, Iterator

from hostagent.activity.classify import FlowRule
from hostagent.activity.contract import Address, Flow
from hostagent.activity.flow_set import FlowSet
from hostagent.instances.model import InstanceId
from hostagent.standby.ports import InstanceView
from hostagent.standby.tracked import Tracked


class Roster:
    """Who is known, and whose connections are watched."""

    def __init__(self) -> None:
        self._tracked: dict[InstanceId, Tracked] = {}
        self._watched: dict[Address, Tracked] = {}

    def __iter__(self) -> Iterator[Tracked]:
        """Go over all; they may change meanwhile."""
        return iter(tuple(self._tracked.values()))

    def get(self, instance: InstanceId) -> Tracked | None:
        """Return one, None when it is not known."""
        return self._tracked.get(instance)

    def put(self, view: InstanceView) -> Tracked:
        """Take a newer view of an instance."""
        tracked = self._tracked.get(view.id)
        if tracked is None:
            tracked = self._tracked[view.id] = Tracked(view)
        tracked.view = view
        return tracked

    def drop(self, instance: InstanceId) -> Tracked | None:
        """Forget an instance."""
        tracked = self._tracked.pop(instance, None)
        if tracked is not None:
            self.unwatch(tracked)
        return tracked

    def watch(self, tracked: Tracked) -> FlowSet:
        """Watch its connections under its policy; raises ValueError for a policy that is not in normal
        form.
        """
        policy = tracked.view.policy
        assert policy is not None
        rule = FlowRule.of(policy, tracked.view.addresses)
        if tracked.flows is None:
            tracked.flows = FlowSet(rule)
        elif rule != tracked.flows.rule:
            self._forget_addresses(tracked.flows)
            tracked.flows.follow(rule)
        self._watched |= dict.fromkeys(rule.addresses, tracked)
        return tracked.flows

    def unwatch(self, tracked: Tracked) -> None:
        """Watch them no longer."""
        if tracked.flows is not None:
            self._forget_addresses(tracked.flows)
        tracked.unwatch()

    def whose(self, flow: Flow) -> Tracked | None:
        """Return whose connection this is: who answers, else who was called."""
        return self._watched.get(flow.instance) or self._watched.get(flow.destination)

    def sort(self, flows: Iterable[Flow]) -> dict[InstanceId, list[Flow]]:
        """Return the flows of each watched instance that has any."""
        found: dict[InstanceId, list[Flow]] = {}
        for flow in flows:
            tracked = self.whose(flow)
            if tracked is not None:
                found.setdefault(tracked.view.id, []).append(flow)
        return found

    def _forget_addresses(self, flows: FlowSet) -> None:
        for address in flows.rule.addresses:
            self._watched.pop(address, None)
