import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamserver.config import Settings, load_settings
from streamserver.config.loader import core_options
from streamserver.config.options import env_name
from tests.config.loading import NapSettings, OpenSettings, load


def test_without_any_source_all_is_at_its_default() -> None:
    loaded = load_settings(None, {}, {}, lambda _: {})
    assert loaded.settings == Settings()
    assert loaded.warnings == []
    assert loaded.sources == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(*[st.none() | st.integers(1, 3600)] * 3)
def test_the_later_source_wins(
    tmp_path: Path, file: int | None, variable: int | None, flag: int | None
) -> None:
    loaded = load(
        tmp_path,
        f"session: {{heartbeat_interval: {file}}}" if file is not None else "",
        {"NEKO_SESSION_HEARTBEAT_INTERVAL": str(variable) if variable is not None else ""},
        {"session.heartbeat_interval": str(flag)} if flag is not None else {},
    )
    expected = next((value for value in (flag, variable, file) if value is not None), 10)
    assert loaded.settings.session.heartbeat_interval == expected


def test_each_value_knows_its_source(tmp_path: Path) -> None:
    loaded = load(tmp_path, "server:\n  bind: ':1'\n", {"NEKO_DEBUG": "true"}, {"session.cookie.name": "X"})
    assert loaded.sources == {
        "server.bind": f"{tmp_path}/neko.yaml, line 2",
        "debug": "NEKO_DEBUG",
        "session.cookie.name": "--session.cookie.name",
    }


def test_lists_are_split_at_blanks_in_variables_and_at_commas_in_flags(tmp_path: Path) -> None:
    by_variable = load(tmp_path, "", {"NEKO_SERVER_CORS": " http://a  http://b "})
    by_flag = load(tmp_path, "", {}, {"server.cors": "http://a, http://b"})
    by_file = load(tmp_path, "server: {cors: ['http://a', 'http://b']}")
    expected = ("http://a", "http://b")
    assert [loaded.settings.server.cors for loaded in (by_variable, by_flag, by_file)] == [expected] * 3


def test_a_list_may_be_json_where_values_have_blanks_or_commas(tmp_path: Path) -> None:
    flags = ["--window-size=1,2", "--user-agent=a b"]
    loaded = load(tmp_path, "", {"NEKO_BROWSER_FLAGS": json.dumps(flags)})
    assert list(loaded.settings.browser.flags) == flags
    assert list(load(tmp_path, "", {}, {"browser.flags": json.dumps(flags)}).settings.browser.flags) == flags


def test_an_empty_flag_is_an_empty_list(tmp_path: Path) -> None:
    assert load(tmp_path, "server: {cors: ['*']}", {}, {"server.cors": ""}).settings.server.cors == ()


def test_maps_are_json_in_variables(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "",
        {
            "NEKO_LOG_LEVELS": '{"webrtc": "debug"}',
            "NEKO_MEMBER_MULTIUSER_USER_PROFILE": '{"can_host": false}',
            "NEKO_WEBRTC_ICESERVERS_FRONTEND": '[{"urls": "stun:a:1", "credential": "c"}]',
        },
    ).settings
    assert loaded.log.levels == {"webrtc": "debug"}
    assert loaded.member.multiuser.user_profile == {"can_host": False}
    assert loaded.webrtc.iceservers.frontend[0].urls == ("stun:a:1",)


def test_a_plain_list_of_ice_servers_is_for_both_sides(tmp_path: Path) -> None:
    servers = '[{"urls": ["stun:a:1"]}]'
    for loaded in (
        load(tmp_path, f"webrtc: {{iceservers: {servers}}}"),
        load(tmp_path, "", {"NEKO_WEBRTC_ICESERVERS": servers}),
        load(tmp_path, "", {}, {"webrtc.iceservers": servers}),
    ):
        both = loaded.settings.webrtc.iceservers
        assert both.frontend == both.backend
        assert both.frontend[0].urls == ("stun:a:1",)
        assert loaded.warnings == []


def test_a_plain_list_of_ice_servers_gives_way_to_a_particular_one(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "webrtc: {iceservers: [{urls: 'stun:both'}]}",
        {"NEKO_WEBRTC_ICESERVERS_FRONTEND": '[{"urls": "stun:front"}]'},
    )
    assert loaded.settings.webrtc.iceservers.frontend[0].urls == ("stun:front",)
    assert loaded.settings.webrtc.iceservers.backend == ()


@pytest.mark.parametrize("word", ["0123", "12:30:45", "yes", "null", "1e3", "0x1f", "true", "~"])
def test_yaml_does_not_change_a_password(tmp_path: Path, word: str) -> None:
    quoted = f"'{word}'" if word in ("null", "~") else word
    loaded = load(tmp_path, f"member: {{multiuser: {{admin_password: {quoted}}}}}")
    assert loaded.settings.member.multiuser.admin_password.get_secret_value() == word


def test_empty_sections_and_null_are_unset(tmp_path: Path) -> None:
    loaded = load(tmp_path, "server:\n# bind: x\nsession:\n  cookie:\nbrowser: {url: ~}\n", models={})
    assert loaded.settings == Settings()


def test_dotted_keys_and_merges_are_understood(tmp_path: Path) -> None:
    loaded = load(tmp_path, "server.bind: ':1'\nsession.cookie: {name: A}\n").settings
    assert loaded.server.bind == ":1"
    assert loaded.session.cookie.name == "A"
    merged = load(tmp_path, "webrtc: &all {udpmux: 7}\ncapture: {video: {fps: 7}}\n").settings
    assert (merged.webrtc.udpmux, merged.capture.video.fps) == (7, 7)


def test_debug_sets_the_level_unless_trace(tmp_path: Path) -> None:
    assert load(tmp_path, "debug: true").settings.log.level == "debug"
    assert load(tmp_path, "{debug: true, log: {level: error}}").settings.log.level == "debug"
    assert load(tmp_path, "{debug: true, log: {level: trace}}").settings.log.level == "trace"


def test_settings_of_plugins_come_from_all_three(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "nap: {enabled: true, cooldown: 1s}",
        {"NEKO_NAP_COOLDOWN": "2s", "NEKO_NAP_PATHS": "/a /b"},
        {"nap.cooldown": "3s"},
    )
    assert loaded.settings.plugin_settings["nap"] == NapSettings(
        enabled=True, cooldown=3.0, paths=("/a", "/b")
    )
    assert load(tmp_path).settings.plugin_settings["nap"] == NapSettings()


def test_plugins_are_looked_for_where_the_configuration_says(tmp_path: Path) -> None:
    asked: list[Path] = []
    (tmp_path / "c.yaml").write_text("plugins: {enabled: true, dir: /somewhere}")
    load_settings(tmp_path / "c.yaml", {}, {}, lambda plugins: asked.append(plugins.dir) or {})  # type: ignore[func-returns-value]
    assert asked == [Path("/somewhere")]


def test_an_open_section_takes_any_key(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        "any: {thing: {a: 1}, other: [1]}",
        {"NEKO_ANY_MORE": "1"},
        {"any.flag": "x"},
        {"any": OpenSettings},
    )
    assert loaded.settings.plugin_settings["any"].model_dump() == {
        "thing": {"a": 1},
        "other": [1],
        "flag": "x",
    }
    assert loaded.warnings == []


def test_a_plugin_cannot_take_the_name_of_a_section(tmp_path: Path) -> None:
    loaded = load(tmp_path, "", models={"server": NapSettings})
    assert loaded.warnings == ["the plugin server is not used: its name is a section of ours"]
    assert loaded.settings.plugin_settings == {}


def test_every_key_has_a_variable_of_its_own() -> None:
    names = [env_name(key) for key in core_options()]
    assert len(set(names)) == len(names)
    assert env_name("session.cookie.http_only") == "NEKO_SESSION_COOKIE_HTTP_ONLY"
