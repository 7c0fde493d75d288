"""Whether a plugin's feature is on for somebody: the room's switch and the member's, by neko's rule. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from streamserver.sessions.model import RoomSettings, Session


def is_permitted(key: str, session: Session, room: RoomSettings) -> bool:
    """Whether `key` (such as `chat.can_send`) is on for `session`.

    Both the room's plugin settings and the profile's can turn it off; what is not set is on. The room's do
    not bind admins. A value that is neither true nor false turns it off: somebody meant to change it.
    """
    for_room = session.profile.is_admin or _on(room.plugins, key)
    return for_room and _on(session.profile.plugins, key)


def _on(settings: Mapping[str, JsonValue] | None, key: str) -> bool:
    value = (settings or {}).get(key)
    return value is None or value is True
