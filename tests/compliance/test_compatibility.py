"""`docs/neko-compatibility.md` says of every name in `names/` whether it is here, and says the truth.

The lists in `names/` are neko's public names (version 3.1), collected once: events, routes, settings.
"""

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Route

from plugins.chat import settings as chat_settings
from plugins.filetransfer import settings as filetransfer_settings
from plugins.openinapp import settings as openinapp_settings
from streamserver.api.app import ROUTERS
from streamserver.api.room_upload import make_router
from streamserver.config.neko_keys import NOT_YET
from streamserver.config.options import options_of
from streamserver.config.settings import Settings
from streamserver.legacy.endpoint import LegacyEndpoint
from streamserver.legacy.routes import LegacyRoutes
from streamserver.websocket.metrics import CLIENT_EVENTS, SERVER_EVENTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "neko-compatibility.md"
NAMES = Path(__file__).parent / "names"

SECTIONS = {
    "client_events": "Events of clients",
    "server_events": "Events of the server",
    "routes": "Routes",
    "settings": "Settings",
}
PLUGIN_EVENTS = ("chat/init", "chat/message", "filetransfer/update", "openinapp/init")
"""Events of the built-in plugins, which the server itself does not know."""
PLUGIN_ROUTES = (
    "POST /api/chat",
    "GET /api/filetransfer",
    "POST /api/filetransfer",
    "DELETE /api/filetransfer",
    "POST /api/openinapp/openlink",
)


def names(which: str) -> list[str]:
    return (NAMES / f"{which}.txt").read_text(encoding="utf-8").split("\n")[:-1]


def rows(which: str) -> dict[str, tuple[str, str]]:
    """Return answer and reason by name."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {SECTIONS[which]}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| `([^`]+)` \| (\w+) \| (.*?) ?\|$", section, re.MULTILINE)
    assert len({name for name, _, _ in found}) == len(found), "a name is there twice"
    return {name: (answer, reason) for name, answer, reason in found}


def served() -> dict[str, set[str]]:
    """Return what is really there."""
    settings = {option.key for option in options_of(Settings)} | {"config", "webrtc.iceservers"}
    for plugin, model in (
        ("chat", chat_settings.ChatSettings),
        ("filetransfer", filetransfer_settings.FileTransferSettings),
        ("openinapp", openinapp_settings.OpenInAppSettings),
    ):
        settings |= {f"{plugin}.{name}" for name in model.model_fields}
    settings.add("scaletozero.enabled")
    api = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    api += [route for route in make_router(1).routes if isinstance(route, APIRoute)]
    nothing: object = None
    legacy = LegacyRoutes(nothing, nothing, "")  # type: ignore[arg-type]
    routes = {f"{method} {shape(route.path)}" for route in api for method in route.methods or ()}
    for route in legacy.routes():
        assert isinstance(route, Route)
        routes |= {f"{method} {route.path}" for method in route.methods or ()}
    assert LegacyEndpoint.__call__.__doc__
    return {
        "client_events": {*CLIENT_EVENTS, *PLUGIN_EVENTS},
        "server_events": {*SERVER_EVENTS, *PLUGIN_EVENTS},
        "routes": {*routes, *PLUGIN_ROUTES, "GET /api/ws", "GET /ws"},
        "settings": settings,
    }


def shape(path: str) -> str:
    """Return a path whose parameters have no names: neko's have others."""
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize("which", list(SECTIONS))
def test_every_name_has_an_answer_and_it_is_true(which: str) -> None:
    told = rows(which)
    assert sorted(told) == sorted(names(which))
    there = served()[which]
    for name, (answer, reason) in told.items():
        assert answer in ("yes", "better", "no"), name
        assert answer == "yes" or reason, f"{name}: {answer}, but not why"
        assert (answer != "no") == (shape(name) in there), f"{name}: the page says {answer}"


def test_settings_that_are_not_there_are_accepted_with_a_warning() -> None:
    refused = [
        name for name, (answer, _) in rows("settings").items() if answer == "no" and name not in NOT_YET
    ]
    assert not refused


def test_the_plugins_have_what_the_page_says_of_them() -> None:
    for plugin in ("chat", "filetransfer", "openinapp"):
        source = "".join(
            path.read_text(encoding="utf-8") for path in (ROOT / "plugins" / plugin).glob("*.py")
        )
        for event in PLUGIN_EVENTS:
            assert not event.startswith(plugin) or f'"{event}"' in source, event
