"""Members from the settings."""

import hmac

import pytest

from streamserver.config.settings import MemberSettings, ObjectSettings
from streamserver.members.choice import make_provider
from streamserver.members.errors import InvalidCredentials
from streamserver.members.object import ObjectProvider
from tests.members.provider_rules import live_a_life

USERS = [{"username": "ada", "password": "lace", "profile": {"is_admin": True, "can_login": True}}]


def provider(users: object = ()) -> ObjectProvider:
    return ObjectProvider(ObjectSettings.model_validate({"users": users}))


async def test_the_life_of_a_member() -> None:
    await live_a_life(provider())


async def test_members_of_the_settings_have_the_rights_that_are_named_and_no_others() -> None:
    settings = MemberSettings.model_validate({"provider": "object", "object": {"users": USERS}})
    members = make_provider(settings)
    member_id, profile = await members.authenticate("ada", "lace")
    assert (member_id, profile.name) == ("ada", "ada")
    assert [name for name, value in profile.to_wire().items() if value is True] == ["is_admin", "can_login"]


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("bob", "wrong"), ("bob", ""), ("ada", "l" * 9999)]
)
async def test_known_or_not_one_comparison_of_one_length_is_made(
    name: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = provider(USERS)
    compared: list[tuple[int, int]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return a == b

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with pytest.raises(InvalidCredentials):
        await members.authenticate(name, password)
    assert compared == [(32, 32)]


async def test_nobody_is_nobody_even_with_the_password_of_nobody() -> None:
    with pytest.raises(InvalidCredentials):
        await provider(USERS).authenticate("bob", "a password nobody has")
