"""What the commands understand and say: pure."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostagent.commands.ports import parse_port
from hostagent.commands.serve_environment import BIND, NAT, environment_for
from hostagent.commands.story import duration, seconds, tell
from hostagent.instances.events import EventType
from hostagent.instances.model import PublishedPort

EVENTS = [
    ({"type": "idle", "seconds": 10.0}, "nobody is connected: asleep in 10 s"),
    (
        {
            "type": "standby",
            "level": "reclaimed",
            "from_level": "awake",
            "seconds": 0.283,
            "bytes": 187_000_000,
        },
        "asleep (reclaimed, 283 ms; 187 MB given back)",
    ),
    (
        {"type": "standby", "level": "frozen", "from_level": "awake", "seconds": 0.003, "bytes": 0},
        "asleep (frozen, 3 ms)",
    ),
    (
        {"type": "standby", "level": "stopped", "from_level": "frozen", "seconds": 1.25, "bytes": 0},
        "asleep more deeply (stopped, 1.2 s)",
    ),
    (
        {"type": "restore", "seconds": 0.004, "reason": "packet from 10.0.0.2 to port 8080"},
        "woken by a packet from 10.0.0.2, 4 ms",
    ),
    (
        {"type": "restore", "seconds": 0.0001, "reason": "packet from 127.0.0.1 to port 80"},
        "woken by a packet from this machine, less than 1 ms",
    ),
    ({"type": "restore", "seconds": 0.2, "reason": "asked by API"}, "woken by you, 200 ms"),
    ({"type": "exit", "exit_status": 7}, "its command ended by itself with status 7"),
    ({"type": "agent_stopping"}, "the agent ends; instances stay as they are"),
]


@pytest.mark.parametrize(("event", "sentence"), EVENTS)
def test_events_in_plain_words(event: dict[str, str | float], sentence: str) -> None:
    assert tell({"sequence": 1, "name": "neko", **event}) == sentence
    assert tell({"sequence": 1, "name": "neko", **event}, with_name=True) == f"neko: {sentence}"


@pytest.mark.parametrize("kind", list(EventType), ids=str)
def test_every_event_has_words(kind: EventType) -> None:
    sentence = tell({"type": kind.value, "sequence": 1, "reason": "because"})
    assert sentence
    assert "_" not in sentence
    assert "None" not in sentence


def test_lengths_of_time() -> None:
    assert [duration(0.0004), duration(0.0304), duration(12.34)] == ["less than 1 ms", "30 ms", "12.3 s"]
    assert [seconds("5m0s"), seconds(0.976), seconds(5400), seconds("1h")] == [
        "5 min",
        "1 s",
        "1 h 30 min",
        "1 h",
    ]


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("8080", PublishedPort(8080, 8080, "tcp", "127.0.0.1")),
        ("80:8000", PublishedPort(80, 8000, "tcp", "127.0.0.1")),
        ("59000/udp", PublishedPort(59000, 59000, "udp", "127.0.0.1")),
        ("0.0.0.0:80:8000", PublishedPort(80, 8000)),
        ("[::]:59000/udp", PublishedPort(59000, 59000, "udp")),
        ("127.0.0.1:80:8000/tcp", PublishedPort(80, 8000, "tcp", "127.0.0.1")),
        ("[::1]:80:8000", PublishedPort(80, 8000, "tcp", "::1")),
        ("[fd00:0::1]:80", PublishedPort(80, 80, "tcp", "fd00::1")),
    ],
)
def test_ports(text: str, port: PublishedPort) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize(
    "text", ["", "x", "0", "65536", "80:0", "1:2:3", "::1:80:80", "80/sctp", "999.1.1.1:80:80"]
)
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not \[ADDRESS|no port|appear"):
        parse_port(text)


@given(st.text(max_size=30))
def test_any_text_is_a_port_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert 1 <= parse_port(text).host_port <= 65535


SERVE = ("/opt/bin/catnap", "serve", "--config", "neko.yaml")
TCP, UDP = PublishedPort(80, 8080), PublishedPort(59000, 59000, "udp")


def test_the_streaming_browser_is_told_how_it_is_reached() -> None:
    assert environment_for(SERVE, (TCP,), {}, ()) == {BIND: ":8080"}
    assert environment_for(SERVE, (), {}, ()) == {BIND: ":8080"}
    assert environment_for(SERVE, (TCP, UDP), {}, ("127.0.0.1", "192.0.2.7")) == {
        BIND: ":8080",
        NAT: "127.0.0.1,192.0.2.7",
    }


def test_what_the_caller_says_wins() -> None:
    given_ones = {BIND: "[::]:9", NAT: "203.0.113.9"}
    assert environment_for(SERVE, (TCP, UDP), given_ones, ("192.0.2.7",)) == {}
    flags = (*SERVE, "--server.bind=:9", "--webrtc.nat1to1", "203.0.113.9")
    assert environment_for(flags, (TCP, UDP), {}, ("192.0.2.7",)) == {}


def test_other_commands_are_left_alone() -> None:
    assert environment_for(("/usr/bin/python3", "serve"), (TCP, UDP), {}, ("192.0.2.7",)) == {}
    assert environment_for(("catnap", "doctor"), (TCP,), {}, ()) == {}
