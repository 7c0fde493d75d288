"""What `member.multiuser.*_profile` accepts."""

import difflib
from typing import Annotated

from pydantic import AfterValidator, JsonValue

from streamserver.config.types import Form

PROFILE_FLAGS = (
    "is_admin",
    "can_login",
    "can_connect",
    "can_watch",
    "can_host",
    "can_share_media",
    "can_access_clipboard",
    "sends_inactive_cursor",
    "can_see_inactive_cursors",
)
"""The rights of a member, by their names in neko's protocol."""


def _known_rights(overrides: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name, value in overrides.items():
        if name in PROFILE_FLAGS:
            if not isinstance(value, bool):
                raise ValueError(f"{name} is {value!r}, not true or false")
        elif name == "plugins":
            if not isinstance(value, dict):
                raise ValueError("plugins is no map")
        elif name != "name" or not isinstance(value, str):
            near = difflib.get_close_matches(name, (*PROFILE_FLAGS, "name", "plugins"), 1)
            raise ValueError(f"{name} is no right" + (f", did you mean {near[0]}?" if near else ""))
    return overrides


ProfileOverrides = Annotated[
    dict[str, JsonValue],
    AfterValidator(_known_rights),
    Form("a map of rights such as {can_host: false}; rights are " + ", ".join(PROFILE_FLAGS)),
]
"""Fields of a member profile that replace the provider's own."""
