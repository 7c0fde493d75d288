"""The choice of a provider."""

from streamserver.config.settings import MemberSettings
from streamserver.members.file import FileProvider
from streamserver.members.multiuser import MultiuserProvider
from streamserver.members.noauth import NoauthProvider
from streamserver.members.object import ObjectProvider
from streamserver.members.provider import MemberProvider


def make_provider(settings: MemberSettings) -> MemberProvider:
    """Return the provider that `member.provider` names. Raises `MemberFileError` for a file it cannot use."""
    match settings.provider:
        case "noauth":
            return NoauthProvider()
        case "object":
            return ObjectProvider(settings.object)
        case "file":
            assert settings.file.path is not None, "the configuration is checked for this"
            return FileProvider(settings.file.path, hashed=settings.file.hash)
        case "multiuser":
            return MultiuserProvider(settings.multiuser)
