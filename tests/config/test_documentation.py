"""The page of all settings, and the file that is shipped, are as the models say."""

from pathlib import Path

import pytest
import yaml

from streamserver.commands.configuration import plugin_models
from streamserver.config import Loaded, PluginsSettings, load_settings
from streamserver.config.dump import dump_yaml
from streamserver.config.loader import core_options, plugin_options
from streamserver.config.options import Option
from streamserver.config.reference import DOCUMENT, update
from streamserver.redaction import MASK
from tests.config.loading import load

SHIPPED = DOCUMENT.parents[1] / "config" / "neko.yaml"
MODELS = plugin_models(PluginsSettings())
OPTIONS = [*core_options().values(), *plugin_options(MODELS)]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_every_setting_is_described_and_on_the_page(option: Option) -> None:
    assert option.description, f"{option.key} has no docstring"
    page = DOCUMENT.read_text(encoding="utf-8")
    assert f"| `{option.key}` | `{option.env}` |" in page


def test_the_page_is_as_the_models_say() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    assert update(page, MODELS) == page, "run: python -m streamserver.config.reference"


def test_the_page_of_a_model_that_changed_would_differ() -> None:
    page = DOCUMENT.read_text(encoding="utf-8")
    assert update(page, {}) != page


def test_the_shipped_file_lets_the_machine_sleep_and_reads_without_a_mistake() -> None:
    loaded = load_settings(SHIPPED, {}, {}, lambda _: MODELS)
    scaletozero = loaded.settings.plugin_settings["scaletozero"]
    assert scaletozero.model_dump()["enabled"] is True
    assert loaded.settings.session.file is None
    assert loaded.warnings == []
    assert loaded.settings.server.address[0] == "127.0.0.1"  # the passwords in it are known to everybody


def test_the_shipped_file_names_only_what_a_new_user_changes() -> None:
    assert len(SHIPPED.read_text(encoding="utf-8").splitlines()) < 45


EVERYTHING = """
session: {api_token: hunter2, file: /var/lib/sessions.json}
member: {multiuser: {user_password: hunter2, admin_password: hunter3}}
webrtc: {iceservers: {frontend: [{urls: 'turn:x', username: u, credential: hunter4}]}}
server: {max_message_size: 64KiB, cors: ['http://a'], path_prefix: /x}
log: {json: true, levels: {webrtc: debug}}
desktop: {screen: 1024x768@25}
nap: {cooldown: 100ms}
"""


def test_what_is_printed_can_be_read_again_and_has_no_secrets(tmp_path: Path) -> None:
    loaded = load(tmp_path, EVERYTHING)
    text = dump_yaml(loaded)
    assert "hunter" not in text
    again = load(tmp_path, text.replace(f'user_password: "{MASK}"', "user_password: other"))
    for one, other in ((loaded, again), (again, loaded)):
        assert _without_secrets(one) == _without_secrets(other)


def test_what_is_printed_says_where_values_came_from(tmp_path: Path) -> None:
    loaded = load(tmp_path, "server:\n  bind: ':1'\n", {"NEKO_DEBUG": "1"})
    lines = dump_yaml(loaded).splitlines()
    assert f'  bind: ":1"  # {tmp_path}/neko.yaml, line 2' in lines
    assert "debug: true  # NEKO_DEBUG" in lines


def test_every_setting_is_printed(tmp_path: Path) -> None:
    document = yaml.safe_load(dump_yaml(load(tmp_path)))
    for key in core_options():
        value = document
        for part in key.split("."):
            value = value[part]


def _without_secrets(loaded: Loaded) -> str:
    settings = loaded.settings.model_dump(exclude={"session": {"api_token"}, "member": True, "webrtc": True})
    return str(settings)
