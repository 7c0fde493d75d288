from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamserver.config import ConfigError, load_settings
from tests.config.loading import load, problems


def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    assert problems(tmp_path, "server:\n  bnid: x\n") == [
        "neko.yaml, line 2: server.bnid is no setting; did you mean server.bind?"
    ]
    assert problems(tmp_path, "sever: {bind: ':1'}") == [
        "neko.yaml, line 1: sever is no setting; did you mean server?"
    ]
    assert problems(tmp_path, "nap: {coldown: 1s}") == [
        "neko.yaml, line 1: nap.coldown is no setting; did you mean nap.cooldown?"
    ]
    assert problems(tmp_path, "server: {udpmux: 1}") == [
        "neko.yaml, line 1: server.udpmux is no setting; did you mean webrtc.udpmux?"
    ]
    assert problems(tmp_path, "qqq: 1") == ["neko.yaml, line 1: qqq is no setting"]


def test_an_unknown_flag_is_a_mistake_and_an_unknown_variable_a_warning(tmp_path: Path) -> None:
    assert problems(tmp_path, flags={"server.bnid": "x"}) == [
        "--server.bnid is no flag; did you mean server.bind?"
    ]
    assert load(tmp_path, "", {"NEKO_SERVER_BNID": "x", "NEKOX": "y", "PATH": "/"}).warnings == [
        "NEKO_SERVER_BNID is no setting; did you mean NEKO_SERVER_BIND?"
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "server: {bind: nope}",
            'server.bind is "nope" (no port from 0 to 65535 after the last colon); '
            "accepted: host:port such as 127.0.0.1:8080, [::1]:8080 or :8080",
        ),
        ("webrtc: {udpmux: 70000}", 'webrtc.udpmux is "70000"; accepted: a whole number from 0 to 65535'),
        ("session: {private_mode: perhaps}", 'session.private_mode is "perhaps"; accepted: true or false'),
        (
            "session: {ping_interval: 5 days}",
            'session.ping_interval is "5 days" (not a duration); '
            "accepted: a duration such as 250ms, 5s or 24h, from 100ms to 1h",
        ),
        (
            "session: {ping_interval: 2h}",
            'session.ping_interval is "2h"; accepted: a duration such as 250ms, 5s or 24h, from 100ms to 1h',
        ),
        (
            "member: {provider: ldap}",
            'member.provider is "ldap"; accepted: one of multiuser, object, file, noauth',
        ),
        (
            "log: {level: loud}",
            'log.level is "loud"; accepted: one of trace, debug, info, warn, error, fatal, panic, disabled',
        ),
        (
            "log: {levels: {webrtc: loud}}",
            'log.levels.webrtc is "loud"; '
            "accepted: a map from module to level, such as {webrtc: debug, aioice: info}",
        ),
        (
            "server: {cors: ['http://ok', 'ftp://x']}",
            'server.cors[1] is "ftp://x" (not an origin); '
            "accepted: origins such as https://example.org or http://localhost:3000, or *",
        ),
        (
            "webrtc: {nat1to1: [x]}",
            "webrtc.nat1to1[0] is \"x\" ('x' does not appear to be an IPv4 or IPv6 address); "
            "accepted: IPv4 or IPv6 addresses",
        ),
        (
            "server: {bind: [a]}",
            'server.bind is ["a"]; accepted: host:port such as 127.0.0.1:8080, [::1]:8080 or :8080',
        ),
        ("server: 5", "server is a section with keys in it, found a single value"),
        ("- a", "the file must be sections with keys in it, found a list"),
        ("server: {bind: ':1', bind: ':2'}", "server.bind is there twice"),
        ("? [a]\n: b", "a key must be a word, found a list"),
        (
            "nap: {cooldown: 2m}",
            'nap.cooldown is "2m"; accepted: a duration such as 250ms, 5s or 24h, at most 1m',
        ),
    ],
)
def test_a_wrong_value_is_told_with_what_is_accepted(tmp_path: Path, text: str, sentence: str) -> None:
    assert problems(tmp_path, text) == [f"neko.yaml, line 1: {sentence}"]


def test_a_profile_names_the_wrong_right(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "member: {multiuser: {user_profile: {can_hots: false}}}")
    assert "can_hots is no right, did you mean can_host?" in problem


def test_the_source_of_a_wrong_value_is_named(tmp_path: Path) -> None:
    assert problems(tmp_path, "", {"NEKO_WEBRTC_UDPMUX": "x"})[0].startswith(
        "NEKO_WEBRTC_UDPMUX: webrtc.udpmux is"
    )
    assert problems(tmp_path, flags={"webrtc.udpmux": "x"})[0].startswith("--webrtc.udpmux: webrtc.udpmux is")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "server: {bnid: x, bind: y}\nnap: {cooldown: z, nope: 1}\ndesktop: {screen: big}\n",
        {"NEKO_DEBUG": "perhaps", "NEKO_LOG_LEVELS": "{"},
        {"nope": "1"},
    )
    for key in (
        "server.bnid",
        "server.bind",
        "nap.cooldown",
        "nap.nope",
        "desktop.screen",
        "debug",
        "NEKO_LOG_LEVELS",
        "--nope",
    ):
        assert any(key in problem for problem in found), key
    assert all("\n" not in problem for problem in found)


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("session: {api_token: [hunter2]}", {}),
        ("member: {multiuser: {admin_password: {a: hunter2}}}", {}),
        ("webrtc: {iceservers: {frontend: [{urls: 'http://x', credential: hunter2}]}}", {}),
        ("webrtc: {iceservers: {frontend: [{url: 'stun:x', credential: hunter2}]}}", {}),
        ("", {"NEKO_WEBRTC_ICESERVERS": '[{"credential": "hunter2"'}),
        ("", {"NEKO_WEBRTC_ICESERVERS": '["hunter2"]'}),
    ],
)
def test_a_secret_is_not_told(tmp_path: Path, text: str, environ: dict[str, str]) -> None:
    found = problems(tmp_path, text, environ)
    assert found
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("server: {cert: /a}", "server.cert is set but server.key is not"),
        ("server: {key: /a}", "server.key is set but server.cert is not"),
        ("server: {cors: ['*', 'http://a']}", "server.cors has * and other origins"),
        (
            "desktop: {screen: 1920x1080@30, max_screen: 1280x1080@30}",
            "larger than desktop.max_screen, 1280x1080@30",
        ),
        ("session: {cookie: {path: x}}", "session.cookie.path"),
        ("member: {multiuser: {admin_password: ''}}", "member.multiuser.admin_password is empty"),
        ("member: {multiuser: {user_password: admin}}", "are the same"),
        ("member: {provider: file}", "member.file.path is empty"),
        (
            "member: {object: {users: [{username: a, password: x}, {username: a, password: y}]}}",
            "member.object.users has a more than once",
        ),
        ("member: {object: {users: [{username: a, password: ''}]}}", "a has an empty password"),
    ],
)
def test_settings_that_contradict_each_other(tmp_path: Path, text: str, part: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert part in problem


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("server: {bind: ':8080'}", "member.multiuser.user_password and member.multiuser.admin_password"),
        (
            "server: {bind: '[::]:8080'}\nmember: {multiuser: {user_password: x}}",
            "member.multiuser.admin_password",
        ),
        ("server: {bind: '10.0.0.1:8080'}\nmember: {provider: noauth}", "member.provider"),
        ("server: {bind: ':8080'}\nmember: {multiuser: {user_password: x, admin_password: y}}", None),
        ("server: {bind: '127.0.0.1:8080'}\nmember: {provider: noauth}", None),
        ("server: {bind: '[::1]:8080'}", None),
    ],
)
def test_a_door_open_to_strangers_is_a_warning(tmp_path: Path, text: str, warned: str | None) -> None:
    warnings = load(tmp_path, text).warnings
    assert [warning.partition(":")[0].partition(" noauth")[0] for warning in warnings] == (
        [warned] if warned else []
    )
    assert all("server.bind is" in warning for warning in warnings)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load_settings(path, {}, {}, lambda _: {})
    (tmp_path / "latin.yaml").write_bytes(b"server: {bind: '\xe9'}")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(tmp_path / "latin.yaml", {}, {}, lambda _: {})


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "a: *nowhere", "\x00", "--- 1\n--- 2", "<<: 5"])
def test_text_that_is_not_yaml(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("neko.yaml")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "server",
                        "bind",
                        "cors",
                        "log",
                        "levels",
                        "webrtc",
                        "iceservers",
                        "capture",
                        "video",
                        "nap",
                    ]
                )
                | st.text(max_size=4),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_document_is_settings_or_sentences(tmp_path: Path, document: object) -> None:
    try:
        load(tmp_path, yaml.safe_dump(document, allow_unicode=True))
    except ConfigError as error:
        found = error.problems
    else:
        return
    assert found
    assert "pydantic" not in "".join(found)
