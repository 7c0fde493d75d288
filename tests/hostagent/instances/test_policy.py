"""The policy's rules, and its normal form."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from hostagent.durations import format_duration
from hostagent.errors import BadRequestError
from hostagent.instances.model import AutoStandbyPolicy, Level
from hostagent.instances.policy import FIELDS, MAX_LISTED, normalise, to_wire


def enabled(**fields: JsonValue) -> dict[str, JsonValue]:
    return {"enabled": True, "idle_timeout": "5m", **fields}


def test_missing_stays_missing() -> None:
    assert normalise(None) is None
    assert to_wire(None) is None


@pytest.mark.parametrize(
    "wire",
    [{}, {"enabled": False}, {"enabled": False, "idle_timeout": "nonsense", "level": 7, "unheard_of": 1}],
)
def test_disabled_drops_every_other_field(wire: dict[str, JsonValue]) -> None:
    assert normalise(wire) == AutoStandbyPolicy()
    assert to_wire(normalise(wire)) == {"enabled": False}


def test_durations_become_canonical() -> None:
    wire = to_wire(normalise(enabled(idle_timeout=" 300s ", wake_objective="0.3s", stop_after="36h")))
    assert wire == {
        "enabled": True,
        "idle_timeout": "5m0s",
        "wake_objective": "300ms",
        "stop_after": "36h0m0s",
    }


def test_networks_lose_host_bits_blanks_and_doubles_and_are_sorted() -> None:
    policy = normalise(
        enabled(
            ignore_source_cidrs=[
                " 192.168.1.1/24 ",
                "",
                "10.0.0.0/8",
                "192.168.1.0/24",
                "2001:DB8::1/32",
                "  ",
            ]
        )
    )
    assert policy is not None
    assert policy.ignore_source_cidrs == ("10.0.0.0/8", "192.168.1.0/24", "2001:db8::/32")


def test_ports_lose_doubles_and_are_sorted() -> None:
    policy = normalise(enabled(ignore_destination_ports=[9100, 22, 9100, 65535]))
    assert policy is not None
    assert policy.ignore_destination_ports == (22, 9100, 65535)


def test_our_own_fields() -> None:
    policy = normalise(
        enabled(open_connections="sleep_when_silent", level="reclaimed", reclaim_after="1m", stop_after="2m")
    )
    assert policy == AutoStandbyPolicy(
        enabled=True,
        idle_timeout=300.0,
        open_connections="sleep_when_silent",
        level=Level.RECLAIMED,
        reclaim_after=60.0,
        stop_after=120.0,
    )
    assert to_wire(policy) == {
        "enabled": True,
        "idle_timeout": "5m0s",
        "open_connections": "sleep_when_silent",
        "level": "reclaimed",
        "reclaim_after": "1m0s",
        "stop_after": "2m0s",
    }


def test_giving_memory_back_after_no_time_is_at_once() -> None:
    policy = normalise(enabled(reclaim_after="0s"))
    assert policy is not None
    assert policy.reclaim_after is None


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        ([], "must be an object"),
        ({"enabled": "yes"}, "must be true or false"),
        ({"enabled": 1}, "must be true or false"),
        ({"enabled": True}, "idle_timeout is required"),
        (enabled(idle_timeout="  "), "idle_timeout is required"),
        (enabled(idle_timeout=300), "must be a duration in a string"),
        (enabled(idle_timeout="soon"), "idle_timeout: 'soon' is no duration"),
        (enabled(idle_timeout="0s"), "must be above zero"),
        (enabled(idle_timeout="-5m"), "idle_timeout"),
        (enabled(ignore_source_cidrs="10.0.0.0/8"), "must be a list"),
        (enabled(ignore_source_cidrs=["10.0.0.0/33"]), "no network"),
        (enabled(ignore_source_cidrs=["10.0.0.1"]), "no prefix length"),
        (enabled(ignore_source_cidrs=[8]), "no network"),
        (enabled(ignore_source_cidrs=["10.0.0.0/8"] * (MAX_LISTED + 1)), "at most"),
        (enabled(ignore_destination_ports=[0]), "no port"),
        (enabled(ignore_destination_ports=[65536]), "no port"),
        (enabled(ignore_destination_ports=[True]), "no port"),
        (enabled(ignore_destination_ports=[22.5]), "no port"),
        (enabled(open_connections="drop"), "must be hold or sleep_when_silent"),
        (enabled(level="awake"), "must be one of frozen, reclaimed, standby, stopped"),
        (enabled(level=3), "must be one of"),
        (enabled(wake_objective="0s"), "above zero"),
        (enabled(stop_after="0s"), "above zero"),
        (enabled(level="frozen", reclaim_after="1m"), "no effect with level frozen"),
        (enabled(reclaim_after="2m", stop_after="1m"), "later than reclaim_after"),
        (enabled(idle_timout="5m"), "idle_timout is unknown; there is enabled, idle_timeout"),
    ],
)
def test_what_is_refused_names_the_field(wire: JsonValue, says: str) -> None:
    with pytest.raises(BadRequestError, match=r"^auto_standby.*") as refused:
        normalise(wire)
    assert says in str(refused.value)
    assert refused.value.status == 400


durations = st.integers(1, 10**13).map(lambda microseconds: format_duration(microseconds / 10**6))
networks = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(lambda length: f"{address}/{length}")
)
policies = st.fixed_dictionaries(
    {"enabled": st.just(True), "idle_timeout": durations},
    optional={
        "ignore_source_cidrs": st.lists(networks, max_size=5),
        "ignore_destination_ports": st.lists(st.integers(1, 65535), max_size=5),
        "open_connections": st.sampled_from(["hold", "sleep_when_silent"]),
        "level": st.sampled_from(["reclaimed", "standby", "stopped"]),
        "wake_objective": durations,
        "reclaim_after": durations,
    },
)


@given(policies)
def test_the_normal_form_is_its_own_normal_form(wire: dict[str, JsonValue]) -> None:
    policy = normalise(wire)
    again = to_wire(policy)
    assert normalise(again) == policy
    assert to_wire(normalise(again)) == again
    assert again is not None
    assert set(again) <= set(FIELDS)
    assert policy is not None
    assert all(str(ip_network(cidr)) == cidr for cidr in policy.ignore_source_cidrs)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(FIELDS), json_values), st.booleans())
def test_any_json_is_taken_or_refused_in_words(wire: dict[str, JsonValue], on: bool) -> None:
    try:
        policy = normalise(wire | {"enabled": on})
    except BadRequestError as error:
        refused = str(error)
    else:
        refused = ""
        assert policy is not None
        assert policy.enabled is on
    assert refused == "" or refused.startswith("auto_standby")
