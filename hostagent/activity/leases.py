"""Promises that somebody needs an instance until a moment: pings, holds, API calls, running commands. Pure.

A lease that runs out promised nothing beyond itself. One that is released before was use until that moment.
"""

from collections.abc import Iterator
from typing import Final

from hostagent.activity.contract import Lease
from hostagent.errors import BadRequestError, HostError
from hostagent.instances.model import InstanceId

HOLD: Final = "hold"
"""The owner of the lease that `POST …/auto-standby/hold` makes."""

MAX_OWNER: Final = 128
MAX_REASON: Final = 256
"""Characters kept of a reason; more is cut off."""


class TooManyLeasesError(HostError):
    """An instance has as many leases as it may."""

    code = "too_many_leases"
    status = 409


class LeaseTable:
    """Who needs which instance until when; bounded per instance. Times are the caller's clock."""

    def __init__(self, *, cap: float, per_instance: int = 64) -> None:
        self.cap = cap
        """The longest lease in seconds; a longer wish is cut to it, and the answer says so."""
        self.per_instance = per_instance
        self._leases: dict[InstanceId, dict[str, Lease]] = {}

    def grant(
        self,
        instance: InstanceId,
        owner: str,
        reason: str,
        seconds: float,
        now: float,
        *,
        replace: bool = False,
    ) -> Lease:
        """Return the lease that `owner` has from now on.

        A renewal never ends earlier than what was promised before, unless `replace` says that the newest
        wins.

        Raises:
            BadRequestError: owner or length make no sense.
            TooManyLeasesError: `per_instance` others are held.
        """
        if not 1 <= len(owner) <= MAX_OWNER:
            raise BadRequestError(f"a lease's owner has 1 to {MAX_OWNER} characters, this one {len(owner)}")
        if not seconds > 0:
            raise BadRequestError(
                f"a lease must last longer than nothing; {seconds!r} seconds were asked for"
            )
        held = {lease.owner: lease for lease in self.held(instance, now)}
        if owner not in held and len(held) >= self.per_instance:
            raise TooManyLeasesError(
                f"instance {instance} has {len(held)} leases, as many as it may; release one or wait"
            )
        until = now + min(seconds, self.cap)
        if owner in held and not replace:
            until = max(until, held[owner].until)
        lease = Lease(owner=owner, reason=reason[:MAX_REASON], until=until)
        self._leases[instance] = held | {owner: lease}
        return lease

    def release(self, instance: InstanceId, owner: str, now: float) -> bool:
        """End a lease early; False when there was none (any more)."""
        held = {lease.owner: lease for lease in self.held(instance, now)}
        found = held.pop(owner, None) is not None
        self._keep(instance, held)
        return found

    def held(self, instance: InstanceId, now: float) -> tuple[Lease, ...]:
        """Return the leases that are not over, and forget the others."""
        leases = self._leases.get(instance)
        if leases is None:
            return ()
        alive = {owner: lease for owner, lease in leases.items() if lease.until > now}
        self._keep(instance, alive)
        return tuple(alive.values())

    def drop(self, instance: InstanceId) -> None:
        """Forget an instance."""
        self._leases.pop(instance, None)

    def __iter__(self) -> Iterator[InstanceId]:
        """Go over the instances that have leases, ended ones included."""
        return iter(tuple(self._leases))

    def _keep(self, instance: InstanceId, leases: dict[str, Lease]) -> None:
        if leases:
            self._leases[instance] = leases
        else:
            self._leases.pop(instance, None)
