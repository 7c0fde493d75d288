import importlib.metadata
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from streamserver.cli import main
from streamserver.commands.configuration import parse_flags
from streamserver.commands.serve import serve
from streamserver.config import Loaded
from streamserver.config.loader import core_options
from tests.cli.conftest import Catnap

HEAVY = (
    "av",
    "aiortc",
    "fastapi",
    "uvicorn",
    "pydantic",
    "xcffib",
    "streamserver.config",
    "streamserver.plugins",
)


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_what_says_who_we_are_loads_nothing_heavy(argument: str) -> None:
    code = (
        "import sys\nfrom streamserver.cli import main\n"
        f"try: main(['{argument}'])\nexcept SystemExit as end: assert not end.code, end.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\nassert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def test_printing_the_configuration_loads_no_codec() -> None:
    code = (
        "import sys\nfrom streamserver.cli import main\n"
        "try: main(['serve', '--print-config'])\nexcept SystemExit as end: assert not end.code\n"
        "loaded = [name for name in ('av', 'aiortc', 'uvicorn') if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_version(catnap: Catnap) -> None:
    done = catnap("--version")
    assert done.stdout == f"catnap {importlib.metadata.version('catnap')}\n"


def test_help_names_every_command() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    for command in ("serve", "doctor", "logins"):
        assert f"  {command} " in text


def test_every_command_and_its_options_are_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    context = click.Context(main)
    for name in main.list_commands(context):
        assert f"## `catnap {name}`" in page
        command = main.get_command(context, name)
        assert command is not None
        for parameter in command.params:
            assert f"`{parameter.opts[0]}" in page, f"{name} {parameter.opts[0]}"


def test_help_of_serve_names_every_setting_and_its_section() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"]).output
    for key in core_options():
        assert f"--{key} " in text
    assert "--scaletozero.enabled BOOL" in text
    assert "webrtc - How viewers reach the media:" in text
    assert "scaletozero (plugin):" in text


@pytest.mark.parametrize(
    ("arguments", "flags"),
    [
        ((), {}),
        (("--server.bind=:80",), {"server.bind": ":80"}),
        (("--server.bind", ":80", "--debug"), {"server.bind": ":80", "debug": "true"}),
        (("-d", "--legacy", "--a.b", "c"), {"debug": "true", "legacy": "true", "a.b": "c"}),
        (("--a=b=c", "--x="), {"a": "b=c", "x": ""}),
        (("--a=1", "--a=2"), {"a": "2"}),
    ],
)
def test_settings_in_flags(arguments: tuple[str, ...], flags: dict[str, str]) -> None:
    assert parse_flags(arguments) == flags


@pytest.mark.parametrize("argument", ["server.bind=:80", "-x", "--"])
def test_what_is_no_flag(argument: str) -> None:
    with pytest.raises(click.UsageError):
        parse_flags([argument])


def test_printing_the_configuration_of_all_sources(catnap: Catnap, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("server: {bind: ':1'}\nscaletozero: {enabled: true}\nlog: {dir: /tmp}\n")
    done = catnap(
        "serve", "-c", "c.yaml", "--print-config", "--scaletozero.cooldown=9s",
        env={"NEKO_SESSION_API_TOKEN": "hunter2", "NEKO_MEMBER_MULTIUSER_ADMIN_PASSWORD": "hunter3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = yaml.safe_load(done.stdout)
    assert document["server"]["bind"] == ":1"
    assert document["scaletozero"]["cooldown"] == "9s"
    assert document["session"]["api_token"] == "***"
    assert "hunter" not in done.stdout + done.stderr
    assert "warning: log.dir is a setting of neko's" in done.stderr


def test_mistakes_end_with_status_2_and_sentences(catnap: Catnap, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("server:\n  bnid: ':1'\n")
    done = catnap("serve", "--config", "c.yaml", "--webrtc.udpmux=x", env={"NEKO_DEBUG": "perhaps"})
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "The configuration cannot be used:",
        "  c.yaml, line 2: server.bnid is no setting; did you mean server.bind?",
        '  NEKO_DEBUG: debug is "perhaps"; accepted: true or false',
        '  --webrtc.udpmux: webrtc.udpmux is "x"; accepted: a whole number from 0 to 65535',
    ]


def test_a_mistake_cannot_write_to_the_terminal(catnap: Catnap) -> None:
    done = catnap("serve", "--server.bind=\x1b[2Jevil")
    assert done.returncode == 2
    assert "\x1b" not in done.stderr


def test_an_absent_file_is_a_mistake_and_no_file_is_none(catnap: Catnap) -> None:
    assert "cannot be read: No such file" in catnap("serve", "-c", "absent.yaml").stderr
    assert catnap("serve", "--print-config").returncode == 0


def test_where_the_file_is_looked_for(catnap: Catnap, tmp_path: Path) -> None:
    (tmp_path / "neko.yaml").write_text("server: {bind: ':1'}")
    (tmp_path / "named.yaml").write_text("server: {bind: ':2'}")
    (tmp_path / "given.yaml").write_text("server: {bind: ':3'}")

    def bind(*arguments: str, env: dict[str, str] | None = None) -> str:
        printed = yaml.safe_load(catnap("serve", "--print-config", *arguments, env=env).stdout)
        return str(printed["server"]["bind"])

    assert bind() == ":1"
    assert bind(env={"NEKO_CONFIG": "named.yaml"}) == ":2"
    assert bind("-c", "given.yaml", env={"NEKO_CONFIG": "named.yaml"}) == ":3"


def test_serve_runs_the_server_and_ends_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    given: list[Loaded] = []

    def run(loaded: Loaded) -> int:
        given.append(loaded)
        return 7

    app = types.ModuleType("streamserver.app")
    app.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "streamserver.app", app)
    done = CliRunner().invoke(serve, ["--server.bind=:1"])
    assert done.exit_code == 7
    assert given[0].settings.server.bind == ":1"
