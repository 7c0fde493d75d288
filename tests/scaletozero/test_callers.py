"""Whom the gate trusts by address, and how a page is recognised."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.scaletozero.callers import is_trusted, made_by_page, networks
from plugins.scaletozero.settings import ScaleToZeroSettings

PRIVATE = networks(["10.0.0.0/8", "fd00::/8"])
EVERYBODY = networks(["0.0.0.0/0", "::/0"])
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("::ffff:10.1.2.3", True),
        ("fd12::1", True),
        ("fe80::1%eth0", False),
        ("2001:db8::1", False),
        ("127.0.0.1", False),
        ("not-an-ip", False),
        ("", False),
        (None, False),
    ],
)
def test_networks_that_are_named_are_trusted(peer: str | None, trusted: bool) -> None:
    assert is_trusted(peer, "10.9.9.9", PRIVATE) is trusted


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "::"])
def test_loopback_is_in_no_network(peer: str) -> None:
    assert not is_trusted(peer, "10.9.9.9", EVERYBODY)


@given(st.ip_addresses())
def test_a_caller_with_our_own_address_is_on_this_machine(address: ipaddress.IPv4Address) -> None:
    assert not is_trusted(str(address), str(address), EVERYBODY)


def test_our_own_address_in_its_other_form_is_ours_too() -> None:
    assert not is_trusted("10.9.9.9", "::ffff:10.9.9.9", EVERYBODY)


@given(addresses)
def test_nobody_is_trusted_when_nobody_is_named(address: ipaddress.IPv4Address) -> None:
    assert not is_trusted(str(address), "10.9.9.9", ())


@given(st.text(), st.text())
def test_junk_for_an_address_is_not_trusted(peer: str, reached: str) -> None:
    try:
        ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        assert not is_trusted(peer, reached, EVERYBODY)


@pytest.mark.parametrize(
    ("headers", "by_page"),
    [
        ({"user-agent": "curl"}, False),
        ({"origin": "http://evil.example"}, True),
        ({"origin": "null"}, True),
        ({"origin": ""}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
    ],
)
def test_a_page_is_known_by_its_headers(headers: dict[str, str], by_page: bool) -> None:
    assert made_by_page(headers) is by_page


@pytest.mark.parametrize(
    ("cidr", "told"),
    [
        ("127.0.0.0/8", "loopback"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.0.0.1/8", "10.0.0.1/8"),
        ("everybody", "everybody"),
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("", "no network"),
    ],
)
def test_a_setting_that_is_no_network_is_refused_by_name(cidr: str, told: str) -> None:
    with pytest.raises(ValueError, match="trusted_cidrs") as refused:
        ScaleToZeroSettings.model_validate({"trusted_cidrs": [cidr]})
    assert told in str(refused.value)


def test_nobody_is_trusted_by_default() -> None:
    assert ScaleToZeroSettings().trusted_cidrs == ()
