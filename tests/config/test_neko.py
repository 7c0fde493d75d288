"""A configuration written for neko starts here, with a warning for what is different."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamserver.config import ConfigError
from streamserver.config.gstreamer import Wish, evaluate, read_pipeline
from streamserver.config.neko_keys import NOT_YET, V2_NAMES
from streamserver.config.options import env_name
from streamserver.config.types import PortRange, ScreenSize
from tests.config.loading import load, problems

SCREEN = ScreenSize(1280, 720, 30)
NEKO_FILE = """
server: {bind: "0.0.0.0:8080", static: /var/www, metrics: true, pprof: false}
session: {merciful_reconnect: true, implicit_hosting: false, cookie: {enabled: false}}
member:
  provider: multiuser
  multiuser:
    user_password: a
    admin_password: b
    user_profile: {can_host: true, plugins: {chat.can_send: true}}
desktop: {screen: 1920x1080@60, display: ":99.0", input: {enabled: false}}
capture:
  video:
    codec: vp8
    ids: [hq]
    pipelines:
      hq:
        fps: 25
        gst_encoder: vp8enc
        gst_params: {target-bitrate: round(3072 * 650), cpu-used: 4, end-usage: cbr}
  broadcast: {preset: fast}
  screencast: {enabled: false}
webrtc: {icelite: 1, nat1to1: [10.0.0.1], epr: 52000-52100}
plugins: {enabled: true, dir: /etc/neko/plugins}
"""


def test_a_file_for_neko_is_accepted_with_warnings(tmp_path: Path) -> None:
    loaded = load(tmp_path, NEKO_FILE)
    named = [warning.partition(" ")[0].rstrip(":") for warning in loaded.warnings]
    assert named == [
        "server.pprof",
        "capture.broadcast.preset",
        "capture.video.codec",
        "webrtc.epr",
        "capture.video.pipelines.hq",
    ]
    assert loaded.warnings[-1].endswith("our own encoder makes this quality: 1997 kbit/s, 25 fps")
    assert loaded.settings.desktop.screen == ScreenSize(1920, 1080, 60)


def test_full_ice_takes_a_range_of_ports_and_no_shared_one(tmp_path: Path) -> None:
    webrtc = load(tmp_path, "webrtc: {icelite: false, epr: 59000-59100}").settings.webrtc
    assert webrtc.epr == PortRange(59000, 59100)
    assert load(tmp_path, "webrtc: {icelite: false, epr: ''}").settings.webrtc.epr is None
    (both,) = problems(tmp_path, "webrtc: {icelite: false, epr: 59000-59100, udpmux: 59000}")
    assert "webrtc.epr (59000-59100) and webrtc.udpmux (59000) are both set" in both
    assert "remove webrtc.udpmux, or webrtc.epr and webrtc.icelite" in both


@pytest.mark.parametrize("text", ["59100-59000", "59000", "0-5", "1-70000", "a-b"])
def test_what_is_no_range_of_ports_is_refused(tmp_path: Path, text: str) -> None:
    (problem,) = problems(tmp_path, f"webrtc: {{epr: '{text}'}}")
    assert "accepted: FIRST-LAST such as 59000-59100" in problem


@pytest.mark.parametrize("key", sorted(NOT_YET))
def test_each_key_that_does_nothing_yet_is_a_warning_from_every_source(tmp_path: Path, key: str) -> None:
    document: object = "1"
    for part in reversed(key.split(".")):
        document = {part: document}
    by_file = load(tmp_path, yaml.safe_dump(document)).warnings
    by_variable = load(tmp_path, "", {env_name(key): "1"}).warnings
    by_flag = load(tmp_path, "", {}, {key: "1"}).warnings
    for warnings, name in ((by_file, key), (by_variable, env_name(key)), (by_flag, f"--{key}")):
        assert len(warnings) == 1
        assert warnings[0].startswith(f"{name} is a setting of neko's that is not supported yet")


@pytest.mark.parametrize("name", sorted(V2_NAMES))
def test_each_name_of_neko_v2_is_a_warning_that_names_the_one_to_set(tmp_path: Path, name: str) -> None:
    (warning,) = load(tmp_path, "", {name: "1"}).warnings
    assert warning.startswith(f"{name} is a name of neko v2")
    if V2_NAMES[name]:
        assert "set NEKO_" in warning


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("capture: {video: {codec: av1}}", "av1 is not encoded yet; h264 is used"),
        ("capture: {audio: {codec: g722}}", "g722 is not encoded yet; opus is used"),
        ("capture: {video: {ids: [x]}}", "there is no pipeline x"),
        ("member: {provider: file, file: {path: /x, hash: false}}", "keeps passwords as they are"),
        ("member: {provider: object}", "nobody can log in"),
        ("webrtc: {epr: 59000-59100}", "webrtc.epr: not used with ICE-lite"),
        ("webrtc: {icelite: false, tcpmux: 59000}", "webrtc.tcpmux: not used"),
        ("webrtc: {icetrickle: false}", "webrtc.icetrickle"),
        ("webrtc: {iceservers: {backend: [{urls: 'stun:x'}]}}", "webrtc.iceservers.backend"),
        ("capture: {video: {pipeline: x264enc bitrate=3000}}", "codec: h264, capture.video.bitrate: 3000"),
        ("capture: {audio: {pipeline: opusenc bitrate=96000}}", "capture.audio.bitrate: 96"),
        (
            "server: {bind: ':80'}",
            "member.multiuser.user_password and member.multiuser.admin_password: still",
        ),
    ],
)
def test_a_value_without_effect_is_a_warning(tmp_path: Path, text: str, part: str) -> None:
    (warning,) = load(tmp_path, text).warnings
    assert part in warning


@pytest.mark.parametrize(
    ("pipeline", "wish"),
    [
        (
            "ximagesrc display-name={display} ! video/x-raw,framerate=25/1 ! videoconvert ! "
            "x264enc threads=4 bitrate=4096 key-int-max=60 ! appsink name=appsink",
            Wish("h264", 4096, 25),
        ),
        ("ximagesrc ! vp8enc target-bitrate=3072000 ! appsink", Wish("vp8", 3072, None)),
        ("ximagesrc ! video/x-raw,framerate=(fraction)60000/1001 ! vp9enc", Wish("vp9", None, 60)),
        ("ximagesrc ! nvh264enc bitrate=2000 ! appsink", Wish("h264", 2000, None)),
        ("ximagesrc ! openh264enc bitrate=2000000 ! appsink", Wish("h264", 2000, None)),
        ("ximagesrc ! svtav1enc target-bitrate=1500", Wish("av1", 1500, None)),
        ("pulsesrc ! opusenc inband-fec=true bitrate=128000", Wish("opus", 128, None)),
        ("nonsense", Wish()),
        ("", Wish()),
    ],
)
def test_what_a_pipeline_asks_for(pipeline: str, wish: Wish) -> None:
    assert read_pipeline(pipeline) == wish


@given(st.text())
def test_any_text_can_be_read_as_a_pipeline(text: str) -> None:
    read_pipeline(text)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("25", 25),
        (25, 25),
        ("round(3072 * 650)", 1996800),
        ("(width / 4) * 2 - height", -80),
        ("fps % 7", 2),
        ("__import__('os')", None),
        ("1 / 0", None),
        ("9 ** 9", None),
        ("name", None),
        (True, None),
        (None, None),
        ("(" * 500 + "1" + ")" * 500, None),
    ],
)
def test_the_arithmetic_of_neko(expression: object, value: float | None) -> None:
    assert evaluate(expression, SCREEN) == value


@given(st.text(alphabet="0123456789+-*/%() .roundwithefps,'\"[]", max_size=30))
def test_any_expression_has_a_value_or_none(text: str) -> None:
    evaluate(text, SCREEN)


def test_nekos_members_are_taken_as_they_are_written(tmp_path: Path) -> None:
    text = """
    member:
      provider: object
      object:
        users:
          - username: ann
            password: "0123"
            profile: {name: Ann, can_login: true, is_admin: false}
    """
    loaded = load(tmp_path, text)
    assert loaded.warnings == []
    (user,) = loaded.settings.member.object.users
    assert (user.username, user.password.get_secret_value()) == ("ann", "0123")
    assert user.profile == {"name": "Ann", "can_login": True, "is_admin": False}


@pytest.mark.parametrize(
    ("user", "part"),
    [
        ("{username: ann, password: 0123}", "member.object.users"),
        ("{username: ../ann, password: x}", "cannot be part of an address"),
        ("{username: API, password: x}", "the username API is the API token's"),
        (
            "{username: ann, password: x, profile: {can_hots: true}}",
            "users[0].profile is wrong",
        ),
        ("{password: x}", "username"),
    ],
)
def test_a_member_that_cannot_be_is_told_without_its_password(tmp_path: Path, user: str, part: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, f"member: {{provider: object, object: {{users: [{user}]}}}}")
    assert part in str(error.value)
    assert "83" not in str(error.value).replace(str(tmp_path), ""), "0123 is a number in YAML"
