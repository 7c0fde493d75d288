"""Two passwords for everybody: one makes a user, one an admin."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from streamserver.members.errors import InvalidCredentials
from streamserver.members.passwords import digest
from streamserver.members.profile import FULL_RIGHTS, MemberProfile
from streamserver.members.provider import shared_name_id
from streamserver.members.unlisted import Unlisted

if TYPE_CHECKING:
    from streamserver.config.settings import MultiuserSettings

ADMIN_PROFILE = FULL_RIGHTS
"""What an admin may do unless `member.multiuser.admin_profile` says otherwise: everything."""

USER_PROFILE = ADMIN_PROFILE.model_copy(update={"is_admin": False, "can_see_inactive_cursors": False})
"""What a user may do unless `member.multiuser.user_profile` says otherwise."""


class MultiuserProvider(Unlisted):
    """Anyone with one of the two passwords is a member, under any name and as often as they like."""

    name = "multiuser"

    def __init__(self, settings: MultiuserSettings) -> None:
        self._admin_digest = digest(settings.admin_password.get_secret_value())
        self._user_digest = digest(settings.user_password.get_secret_value())
        self._admin = ADMIN_PROFILE.merge(settings.admin_profile)
        self._user = USER_PROFILE.merge(settings.user_profile)

    async def authenticate(self, username: str, password: str) -> tuple[str, MemberProfile]:
        """Return a fresh id and the profile of the password; the admin's wins where both are the same.

        Both passwords are compared every time and as digests, so that the time taken tells neither
        which one was nearly right nor how long it is.
        """
        given = digest(password)
        is_admin = hmac.compare_digest(given, self._admin_digest)
        is_user = hmac.compare_digest(given, self._user_digest)
        if not (is_admin or is_user):
            raise InvalidCredentials("wrong name or password")
        profile = self._admin if is_admin else self._user
        return shared_name_id(username), profile.named(username)
