"""Who may log in, with which profile, under which id."""

import contextlib
import hmac
import re

import pytest
from pydantic import SecretStr

from streamserver.config.settings import MemberSettings, MultiuserSettings
from streamserver.members.choice import make_provider
from streamserver.members.errors import InvalidCredentials
from streamserver.members.multiuser import MultiuserProvider
from streamserver.members.noauth import NoauthProvider
from streamserver.members.provider import NANOID_ALPHABET, random_text


def provider(**settings: object) -> MultiuserProvider:
    return MultiuserProvider(MultiuserSettings.model_validate(settings))


async def test_the_passwords_make_users_and_admins_with_fresh_ids() -> None:
    members = provider()
    first_id, user = await members.authenticate("ann", "neko")
    second_id, _ = await members.authenticate("ann", "neko")
    _, admin = await members.authenticate("root", "admin")
    assert re.fullmatch(r"ann-[_\-0-9a-zA-Z]{5}", first_id)
    assert first_id != second_id
    assert user.name == "ann"
    assert [name for name, value in user.to_wire().items() if value is False] == [
        "is_admin",
        "can_see_inactive_cursors",
    ]
    assert [name for name, value in admin.to_wire().items() if value is False] == []


async def test_the_admins_password_is_looked_at_first() -> None:
    members = provider(user_password="same", admin_password="same")
    assert (await members.authenticate("ann", "same"))[1].is_admin


async def test_profiles_of_the_settings_are_laid_over_the_usual_ones() -> None:
    members = provider(user_profile={"can_host": False, "name": "Guest"}, admin_profile={"can_login": False})
    _, user = await members.authenticate("ann", "neko")
    assert (user.name, user.can_host, user.can_watch) == ("Guest", False, True)
    assert not (await members.authenticate("root", "admin"))[1].can_login


@pytest.mark.parametrize("password", ["", "nek", "neko ", "NEKO", "admin\0", "\ud800", "ä" * 10_000])
async def test_any_other_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidCredentials):
        (await provider().authenticate("ann", password))


@pytest.mark.parametrize("password", ["neko", "admin", "wrong", ""])
async def test_both_passwords_are_always_compared(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = hmac.compare_digest

    def counting(a: bytes, b: bytes) -> bool:
        compared.append(len(a))
        assert len(a) == len(b)
        return real(a, b)

    members = provider()
    monkeypatch.setattr(hmac, "compare_digest", counting)
    with contextlib.suppress(InvalidCredentials):
        (await members.authenticate("ann", password))
    assert len(compared) == 2


async def test_noauth_takes_everybody_as_admin() -> None:
    member_id, profile = await NoauthProvider().authenticate("ann", "whatever")
    assert member_id.startswith("ann-")
    assert profile.is_admin
    assert profile.name == "ann"


async def test_the_setting_chooses_the_provider() -> None:
    assert isinstance(make_provider(MemberSettings()), MultiuserProvider)
    assert isinstance(make_provider(MemberSettings(provider="noauth")), NoauthProvider)
    custom = MemberSettings(multiuser=MultiuserSettings(user_password=SecretStr("open sesame")))
    assert await make_provider(custom).authenticate("ann", "open sesame")


async def test_random_texts_are_of_the_nanoid_alphabet() -> None:
    assert len(set(NANOID_ALPHABET)) == 64
    text = random_text(10_000)
    assert set(text) == set(NANOID_ALPHABET)
