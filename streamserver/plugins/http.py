"""What a plugin's routes are made with: who asks, refusals in our form, JSON bodies as neko reads them.

    from streamserver.plugins.http import ApiError, CurrentSession, require_admin

It stands apart from `contract.py` because a plugin without routes has no use for a web framework.
"""

from streamserver.api.auth import (
    Admin,
    CurrentSession,
    TokenSource,
    authenticate,
    find_token,
    require_admin,
)
from streamserver.api.context import Context
from streamserver.api.errors import AUTHENTICATED, ApiError, Responses, describes
from streamserver.api.json_body import JsonRoute

__all__ = [
    "AUTHENTICATED",
    "Admin",
    "ApiError",
    "Context",
    "CurrentSession",
    "JsonRoute",
    "Responses",
    "TokenSource",
    "authenticate",
    "describes",
    "find_token",
    "require_admin",
]
