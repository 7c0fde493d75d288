"""What happens to an instance, told in plain words."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue

from hostagent.durations import parse_duration

_MEGABYTE = 1_000_000
_LOOPBACK = (" 127.0.0.1", " ::1")


def tell(event: Mapping[str, JsonValue], *, with_name: bool = False) -> str | None:
    """Return the sentence for an event; None for one that is no news to a person."""
    sentence = _sentence(event)
    if sentence is None:
        return None
    return f"{event['name']}: {sentence}" if with_name and "name" in event else sentence


def _sentence(event: Mapping[str, JsonValue]) -> str | None:
    kind, reason = str(event["type"]), str(event.get("reason", ""))
    level = str(event.get("level", ""))
    match kind:
        case "idle":
            return f"nobody is connected: asleep in {seconds(event.get('seconds'))}"
        case "active":
            return f"in use: {reason.partition(' to ')[0]}" if reason else "in use"
        case "standby":
            return _asleep(event, level)
        case "restore":
            return f"woken by {_by(reason)}, {duration(event.get('seconds'))}"
        case "standby_aborted":
            return f"was about to sleep, stays awake: {reason}"
        case "standby_failed":
            return f"could not go to sleep, stays awake: {reason}"
        case "restore_failed":
            return f"could not be woken: {reason}"
        case "exit":
            status = event.get("exit_status")
            return "its command ended by itself" + ("" if status is None else f" with status {status}")
        case "stop":
            return "stopped"
        case "start":
            return "started"
        case "create":
            return "made and started"
        case "delete":
            return "removed"
        case "update":
            return "its policy was changed"
        case "hold":
            return f"kept awake for {seconds(event.get('seconds'))}: {reason}"
        case "adopt":
            return f"the agent is back and found it {level}" + (f": {reason}" if reason else "")
        case "agent_started":
            return "the agent has started"
        case "agent_stopping":
            return f"the agent ends: {reason}" if reason else "the agent ends; instances stay as they are"
        case "missed":
            return reason
    return f"{kind} {reason}".strip()


def _asleep(event: Mapping[str, JsonValue], level: str) -> str:
    facts = [level, duration(event.get("seconds"))]
    given_back = event.get("bytes")
    text = ", ".join(fact for fact in facts if fact)
    if isinstance(given_back, int) and given_back >= _MEGABYTE:
        text += f"; {given_back / _MEGABYTE:.0f} MB given back"
    deeper = "" if event.get("from_level") in (None, "awake") else " more deeply"
    return f"asleep{deeper} ({text})"


def _by(reason: str) -> str:
    if reason.startswith("packet"):
        packet = reason.partition(" to port")[0]
        return "a packet from this machine" if packet.endswith(_LOOPBACK) else f"a {packet}"
    return "you" if reason == "asked by API" else f"a {reason}" if reason.startswith("ping") else reason


def duration(value: JsonValue) -> str:
    """Return `4 ms` or `1.2 s` for seconds."""
    if not isinstance(value, int | float):
        return ""
    if value < 0.001:
        return "less than 1 ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def seconds(value: JsonValue) -> str:
    """Return `10 s`, `5 min` or `1 h 30 min` for seconds or a Go duration."""
    if isinstance(value, str):
        value = parse_duration(value)
    if not isinstance(value, int | float):
        return "a while"
    if value < 90:
        return f"{round(value, 1):g} s"
    hours, minutes = divmod(round(value / 60), 60)
    return " ".join(f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min")) if number)


def clock(stamp: str) -> str:
    """Return the time of day of an event, here: `12:00:05`."""
    return datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S")
