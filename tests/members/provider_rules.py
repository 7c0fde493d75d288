"""What holds for every provider with a list of members: one member's life, told to each of them."""

import pytest

from streamserver.members.errors import (
    InvalidCredentials,
    MemberExistsError,
    MemberNotFoundError,
)
from streamserver.members.profile import BadProfileError, MemberProfile
from streamserver.members.provider import MemberProvider
from streamserver.usernames import BadUsernameError

GUEST = MemberProfile(can_login=True, can_watch=True)


async def live_a_life(members: MemberProvider) -> None:
    assert await members.insert("ann", "secret", GUEST) == "ann"
    assert await members.authenticate("ann", "secret") == ("ann", GUEST.merge({"name": "ann"}))
    assert await members.select("ann") == GUEST
    with pytest.raises(MemberExistsError):
        await members.insert("ann", "other", GUEST)
    for name, password in (("ann", "Secret"), ("ann", ""), ("bob", "secret"), ("", ""), ("Ann", "secret")):
        with pytest.raises(InvalidCredentials):
            await members.authenticate(name, password)

    await members.update_profile(
        "ann", {"name": "Ann", "can_host": True, "plugins": {"chat.can_send": False}}
    )
    await members.update_profile("ann", {"can_watch": False, "plugins": {"other": 1}})
    changed = await members.select("ann")
    assert (changed.name, changed.can_host, changed.can_watch, changed.can_login) == (
        "Ann",
        True,
        False,
        True,
    )
    assert changed.plugins == {"chat.can_send": False, "other": 1}
    with pytest.raises(BadProfileError):
        await members.update_profile("ann", {"can_host": "yes"})
    assert await members.select("ann") == changed

    await members.update_password("ann", "changed")
    with pytest.raises(InvalidCredentials):
        await members.authenticate("ann", "secret")
    assert (await members.authenticate("ann", "changed"))[1] == changed

    await members.insert("bob", "b", MemberProfile())
    assert list(await members.select_all()) == ["ann", "bob"]
    await members.delete("ann")
    assert await members.select_all() == {"bob": MemberProfile()}
    with pytest.raises(InvalidCredentials):
        await members.authenticate("ann", "changed")
    with pytest.raises(MemberNotFoundError):
        await members.select("ann")
    with pytest.raises(MemberNotFoundError):
        await members.update_profile("ann", {})
    with pytest.raises(MemberNotFoundError):
        await members.update_password("ann", "x")
    with pytest.raises(MemberNotFoundError):
        await members.delete("ann")
    with pytest.raises(BadUsernameError):
        await members.insert("../ann", "x", GUEST)
