"""Member profiles: what is not said is not allowed, and changes are merged as neko merges them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from streamserver.members.profile import FULL_RIGHTS, BadProfileError, MemberProfile

RIGHTS = tuple(name for name in MemberProfile.model_fields if name not in ("name", "plugins"))

profiles = st.builds(
    MemberProfile,
    name=st.text(max_size=10),
    plugins=st.none() | st.dictionaries(st.text(max_size=5), st.booleans()),
    **{right: st.booleans() for right in RIGHTS},
)


def test_nothing_is_allowed_by_default() -> None:
    wire = MemberProfile().to_wire()
    assert list(wire) == [
        "name",
        "is_admin",
        "can_login",
        "can_connect",
        "can_watch",
        "can_host",
        "can_share_media",
        "can_access_clipboard",
        "sends_inactive_cursor",
        "can_see_inactive_cursors",
        "plugins",
    ]
    assert [value for value in wire.values() if value] == []
    assert wire["plugins"] is None


@given(profiles)
def test_the_wire_form_is_the_profile(profile: MemberProfile) -> None:
    assert MemberProfile.model_validate(profile.to_wire()) == profile


@given(profiles, st.dictionaries(st.sampled_from(RIGHTS), st.booleans()))
def test_merging_changes_only_what_is_named(profile: MemberProfile, changes: dict[str, bool]) -> None:
    merged = profile.merge(changes)
    for right in RIGHTS:
        assert getattr(merged, right) == changes.get(right, getattr(profile, right))
    assert merged.name == profile.name


def test_merging_is_lenient_about_keys_and_nulls_as_neko_is() -> None:
    profile = MemberProfile(name="ann", can_host=True, plugins={"a": 1, "b": 2})
    merged = profile.merge({"CAN_HOST": None, "Is_Admin": True, "unknown": 1, "plugins": {"b": 3}})
    assert merged.can_host
    assert merged.is_admin
    assert merged.plugins == {"a": 1, "b": 3}
    assert profile.plugins == {"a": 1, "b": 2}
    assert profile.merge({"plugins": None}).plugins is None


@pytest.mark.parametrize("changes", [{"can_host": "yes"}, {"can_host": 1}, {"name": 3}, {"plugins": []}])
def test_a_wrong_type_is_named(changes: dict[str, JsonValue]) -> None:
    (field,) = changes
    with pytest.raises(BadProfileError, match=field):
        MemberProfile().merge(changes)


def test_full_rights_are_all_there_are() -> None:
    rights = {name: getattr(FULL_RIGHTS, name) for name in MemberProfile.model_fields}
    assert rights.pop("name") == ""
    assert rights.pop("plugins") is None
    assert set(rights.values()) == {True}
