"""Reads instances and connections, one or all, and hands them to the idle clocks."""

from collections.abc import Callable, Sequence

from hostagent.activity.contract import Flow, FlowTable
from hostagent.errors import HostError, NotFoundError
from hostagent.instances.model import InstanceId
from hostagent.standby.idleness import Idleness
from hostagent.standby.ports import InstancesPort, InstanceView
from hostagent.standby.roster import Roster
from hostagent.standby.tracked import Tracked

Failed = Callable[[str, Exception | None], None]
"""Told an operation's name and what happened."""

Found = dict[InstanceId, Sequence[Flow]]


class Survey:
    """The edge where views and tables come in."""

    def __init__(
        self,
        instances: InstancesPort,
        flows: FlowTable | None,
        roster: Roster,
        idleness: Idleness,
        failed: Failed,
    ) -> None:
        self._instances = instances
        self._flows = flows
        self._roster = roster
        self._idleness = idleness
        self._failed = failed

    def current(self, instance: InstanceId) -> Tracked:
        """Return what is known of an instance, with its present view; raises NotFoundError."""
        view = self._instances.get(instance)
        if view is None:
            raise NotFoundError(f"there is no instance {instance}")
        return self._roster.put(view)

    def eligible(self, tracked: Tracked) -> bool:
        """Tell whether it can be tracked now."""
        return self._flows is not None and tracked.eligible()

    def adopt(self, view: InstanceView, operation: str) -> Tracked | None:
        """Take a newer view; return the instance where its connections are watched."""
        tracked = self._roster.put(view)
        if not self.eligible(tracked):
            self._idleness.forget(tracked)
            return None
        try:
            self._roster.watch(tracked)
        except ValueError as error:
            self._failed(operation, error)
            return tracked if tracked.flows is not None else None
        return tracked

    def refresh(self, view: InstanceView, operation: str) -> None:
        """Take a newer view and read its connections."""
        tracked = self.adopt(view, operation)
        if tracked is not None:
            self.look([tracked], operation)

    def look(self, watched: Sequence[Tracked], operation: str) -> bool:
        """Read connections anew; False when they could not be read, then the idle clocks stay as they are."""
        watched = [tracked for tracked in watched if tracked.flows is not None]
        found = self._read(watched, operation)
        for tracked in watched:
            if found is None:
                self._idleness.settle(tracked)
            else:
                self._idleness.take(tracked, found.get(tracked.view.id, ()))
        return found is not None

    def resync(self, operation: str) -> bool:
        """Read all instances and all connections; False when the connections could not be read."""
        views = self._instances.list()
        for gone in {tracked.view.id for tracked in self._roster} - {view.id for view in views}:
            self._idleness.drop(gone)
        watched = []
        for view in views:
            known = self._roster.get(view.id)
            if known is not None and known.flows is None and known.view == view and not self.eligible(known):
                continue
            tracked = self.adopt(view, operation)
            if tracked is not None:
                watched.append(tracked)
        return self.look(watched, operation)

    def now(self, tracked: Tracked) -> Sequence[Flow]:
        """Return an instance's connections at this moment; raises what the table raises."""
        assert self._flows is not None
        return self._flows.flows(tracked.view.addresses)

    def _read(self, watched: Sequence[Tracked], operation: str) -> Found | None:
        """Return the connections of some instances: one dump of everything is cheaper than two of one."""
        if not watched:
            return {}
        assert self._flows is not None
        try:
            if len(watched) == 1:
                return {watched[0].view.id: self.now(watched[0])}
            return dict(self._roster.sort(self._flows.flows()))
        except (HostError, OSError) as error:
            self._failed(operation, error)
            return None
