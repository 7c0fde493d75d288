"""Everybody is an admin, whatever they type."""

from streamserver.members.multiuser import ADMIN_PROFILE
from streamserver.members.profile import MemberProfile
from streamserver.members.provider import shared_name_id
from streamserver.members.unlisted import Unlisted


class NoauthProvider(Unlisted):
    """Lets everybody in with every right; for one's own machine."""

    name = "noauth"

    async def authenticate(self, username: str, password: str) -> tuple[str, MemberProfile]:
        """Return a fresh id and a profile with every right."""
        return shared_name_id(username), ADMIN_PROFILE.model_copy(update={"name": username})
