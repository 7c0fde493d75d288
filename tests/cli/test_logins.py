from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from streamserver.commands.logins import describe, logins, urls
from streamserver.config import MemberSettings, ServerSettings, Settings
from streamserver.config.settings import MultiuserSettings
from tests.cli.conftest import Catnap

CHOSEN = Settings(
    member=MemberSettings(
        multiuser=MultiuserSettings(user_password=SecretStr("hunter2"), admin_password=SecretStr("hunter3"))
    )
)


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (ServerSettings(), "http://localhost:8080/"),
        (ServerSettings(bind="10.1.2.3:80"), "http://10.1.2.3/"),
        (ServerSettings(bind="[fd00::1]:81", path_prefix="/x"), "http://[fd00::1]:81/x"),
        (ServerSettings(bind="host:443", cert=Path("c"), key=Path("k")), "https://host/"),
        (ServerSettings(bind=":9000"), "http://localhost:9000/"),
    ],
)
def test_the_first_url_is_the_one_to_open(server: ServerSettings, url: str) -> None:
    assert next(urls(server)) == url


def test_a_server_on_every_address_names_those_of_the_machine() -> None:
    assert all(url.startswith("http://") for url in urls(ServerSettings(bind="0.0.0.0:80")))
    assert len(list(urls(ServerSettings()))) == 1


def test_a_free_port_cannot_be_told_before() -> None:
    (line,) = urls(ServerSettings(bind="127.0.0.1:0"))
    assert "the port that the log names" in line


def test_default_passwords_are_no_secret() -> None:
    lines = list(describe(Settings(), reveal=False))
    assert lines[1:] == ["user   any name, password neko", "admin  any name, password admin"]


def test_chosen_passwords_are_for_terminals_only() -> None:
    assert "hunter" not in "".join(describe(CHOSEN, reveal=False))
    revealed = list(describe(CHOSEN, reveal=True))
    assert revealed[1:] == ["user   any name, password hunter2", "admin  any name, password hunter3"]


def test_noauth_has_no_logins() -> None:
    settings = Settings(member=MemberSettings(provider="noauth"))
    assert list(describe(settings, reveal=True))[1:] == [
        "login  any name, no password; everybody is an admin"
    ]


def test_members_in_the_settings_or_a_file_are_told_without_their_passwords() -> None:
    user = {"username": "ann", "password": "hunter2"}
    member = MemberSettings.model_validate({"provider": "object", "object": {"users": [user]}})
    settings = Settings(member=member)
    assert list(describe(settings, reveal=False))[1:] == ["login  ann, password in member.object.users"]
    assert list(describe(settings, reveal=True))[1:] == ["login  ann, password hunter2"]
    member = MemberSettings.model_validate({"provider": "file", "file": {"path": "/x/members.json"}})
    assert list(describe(Settings(member=member), reveal=True))[1:] == [
        "login  the members in /x/members.json"
    ]


def test_the_command_in_a_pipe(catnap: Catnap, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("member: {multiuser: {admin_password: hunter2}}")
    done = catnap("logins", "--config", "c.yaml")
    assert done.stdout.splitlines() == [
        "open   http://localhost:8080/",
        "user   any name, password neko",
        "admin  any name, the password in member.multiuser.admin_password",
    ]
    assert "hunter2" in catnap("logins", "--config", "c.yaml", "--reveal").stdout


def test_settings_are_taken_as_flags() -> None:
    result = CliRunner().invoke(logins, ["--server.bind=127.0.0.1:9", "--member.provider=noauth"])
    assert "http://localhost:9/" in result.output
    assert "any name, no password" in result.output
