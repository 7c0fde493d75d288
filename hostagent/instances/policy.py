"""The `auto_standby` policy: from the API's JSON to its normal form and back.

hypeman's rules for hypeman's fields; `open_connections`, `level`, `wake_objective`, `reclaim_after` and
`stop_after` are ours. A policy in normal form comes out of `to_wire` and `normalise` unchanged.
"""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Final, get_args

from pydantic import JsonValue

from hostagent.durations import format_duration, parse_duration
from hostagent.errors import BadRequestError
from hostagent.instances.model import AutoStandbyPolicy, Level, OpenConnections

FIELDS: Final = (
    "enabled",
    "idle_timeout",
    "ignore_source_cidrs",
    "ignore_destination_ports",
    "open_connections",
    "level",
    "wake_objective",
    "reclaim_after",
    "stop_after",
)

SLEEPING_LEVELS: Final = tuple(level for level in Level if level is not Level.AWAKE)

OPEN_CONNECTIONS: Final[tuple[OpenConnections, ...]] = get_args(OpenConnections)

MAX_LISTED: Final = 1024
"""Networks and ports a policy may name: each is compared with every connection."""


def normalise(wire: JsonValue) -> AutoStandbyPolicy | None:
    """Return the policy of an API body; None for none.

    A policy that is not enabled loses every other field, right or wrong (as with hypeman).

    Raises:
        BadRequestError: naming the field, what was found and what is allowed.
    """
    if wire is None:
        return None
    if not isinstance(wire, Mapping):
        raise BadRequestError(f"auto_standby must be an object, not {wire!r}")
    enabled = wire.get("enabled", False)
    if not isinstance(enabled, bool):
        raise BadRequestError(f"auto_standby.enabled must be true or false, not {enabled!r}")
    if not enabled:
        return AutoStandbyPolicy()
    unknown = sorted(set(wire) - set(FIELDS))
    if unknown:
        raise BadRequestError(f"auto_standby.{unknown[0]} is unknown; there is {', '.join(FIELDS)}")
    policy = AutoStandbyPolicy(
        enabled=True,
        idle_timeout=_idle_timeout(wire.get("idle_timeout")),
        ignore_source_cidrs=_cidrs(wire.get("ignore_source_cidrs")),
        ignore_destination_ports=_ports(wire.get("ignore_destination_ports")),
        open_connections=_open_connections(wire.get("open_connections")),
        level=_level(wire.get("level")),
        wake_objective=_positive("wake_objective", wire.get("wake_objective")),
        reclaim_after=_reclaim_after(wire.get("reclaim_after")),
        stop_after=_positive("stop_after", wire.get("stop_after")),
    )
    _agree(policy)
    return policy


def to_wire(policy: AutoStandbyPolicy | None) -> dict[str, JsonValue] | None:
    """Return the JSON form: canonical durations, and only what differs from the default."""
    if policy is None:
        return None
    if not policy.enabled:
        return {"enabled": False}
    wire: dict[str, JsonValue] = {"enabled": True, "idle_timeout": format_duration(policy.idle_timeout)}
    if policy.ignore_source_cidrs:
        wire["ignore_source_cidrs"] = list(policy.ignore_source_cidrs)
    if policy.ignore_destination_ports:
        wire["ignore_destination_ports"] = list(policy.ignore_destination_ports)
    if policy.open_connections != "hold":
        wire["open_connections"] = policy.open_connections
    if policy.level is not None:
        wire["level"] = policy.level.value
    for field in ("wake_objective", "reclaim_after", "stop_after"):
        seconds: float | None = getattr(policy, field)
        if seconds is not None:
            wire[field] = format_duration(seconds)
    return wire


def _idle_timeout(value: JsonValue) -> float:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise BadRequestError("auto_standby.idle_timeout is required when enabled, for example 5m")
    seconds = _positive("idle_timeout", value)
    assert seconds is not None
    return seconds


def _positive(field: str, value: JsonValue) -> float | None:
    seconds = _duration(field, value)
    if seconds is not None and seconds <= 0:
        raise BadRequestError(f"auto_standby.{field} must be above zero, not {value!r}")
    return seconds


def _reclaim_after(value: JsonValue) -> float | None:
    return _duration("reclaim_after", value) or None


def _duration(field: str, value: JsonValue) -> float | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadRequestError(f"auto_standby.{field} must be a duration in a string like 5m, not {value!r}")
    try:
        return round(parse_duration(value.strip()) * 1e9) / 1e9
    except ValueError as error:
        raise BadRequestError(f"auto_standby.{field}: {error}") from error


def _cidrs(value: JsonValue) -> tuple[str, ...]:
    networks = set()
    for entry in _list("ignore_source_cidrs", value):
        if not isinstance(entry, str):
            raise BadRequestError(
                f"auto_standby.ignore_source_cidrs: {entry!r} is no network like 10.0.0.0/8"
            )
        if not (text := entry.strip()):
            continue
        if "/" not in text:
            raise BadRequestError(
                f"auto_standby.ignore_source_cidrs: {entry!r} has no prefix length; an address is /32 or /128"
            )
        try:
            networks.add(str(ip_network(text, strict=False)))
        except ValueError as error:
            raise BadRequestError(
                f"auto_standby.ignore_source_cidrs: {entry!r} is no network like 10.0.0.0/8 ({error})"
            ) from error
    return tuple(sorted(networks))


def _ports(value: JsonValue) -> tuple[int, ...]:
    ports = set()
    for entry in _list("ignore_destination_ports", value):
        if not isinstance(entry, int) or isinstance(entry, bool) or not 1 <= entry <= 65535:
            raise BadRequestError(
                f"auto_standby.ignore_destination_ports: {entry!r} is no port; there are 1 to 65535"
            )
        ports.add(entry)
    return tuple(sorted(ports))


def _list(field: str, value: JsonValue) -> list[JsonValue]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequestError(f"auto_standby.{field} must be a list, not {value!r}")
    if len(value) > MAX_LISTED:
        raise BadRequestError(
            f"auto_standby.{field} has {len(value)} entries; at most {MAX_LISTED} are taken"
        )
    return value


def _open_connections(value: JsonValue) -> OpenConnections:
    if value is None:
        return "hold"
    for allowed in OPEN_CONNECTIONS:
        if value == allowed:
            return allowed
    raise BadRequestError(
        f"auto_standby.open_connections must be {' or '.join(OPEN_CONNECTIONS)}, not {value!r}"
    )


def _level(value: JsonValue) -> Level | None:
    if value is None:
        return None
    for level in SLEEPING_LEVELS:
        if value == level.value:
            return level
    allowed = ", ".join(level.value for level in SLEEPING_LEVELS)
    raise BadRequestError(f"auto_standby.level must be one of {allowed}, not {value!r}")


def _agree(policy: AutoStandbyPolicy) -> None:
    """Refuse fields that contradict each other."""
    if policy.reclaim_after is None:
        return
    if policy.level is Level.FROZEN:
        raise BadRequestError(
            "auto_standby.reclaim_after has no effect with level frozen; take level reclaimed or leave it out"
        )
    if policy.stop_after is not None and policy.stop_after <= policy.reclaim_after:
        raise BadRequestError(
            f"auto_standby.stop_after ({format_duration(policy.stop_after)}) must be later than "
            f"reclaim_after ({format_duration(policy.reclaim_after)})"
        )
