"""`catnap logins`: where to open the page and how to log in, for a person at a terminal."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import ifaddr
from pydantic import SecretStr

from streamserver.commands.configuration import SETTING_FLAGS, config_option, load, parse_flags
from streamserver.config import ServerSettings, Settings
from streamserver.config.settings import MultiuserSettings

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104


@click.command(context_settings=SETTING_FLAGS, options_metavar="[OPTIONS] [--SETTING=VALUE]...")
@config_option
@click.option("--reveal", is_flag=True, help="Show passwords you chose even when this is no terminal.")
@click.pass_context
def logins(ctx: click.Context, config: Path | None, reveal: bool) -> None:
    """Print where to open the page and how to log in.

    Into a file or a pipe only the well-known default passwords are written, so that a container's log does
    not keep yours; --reveal shows them anyway. Settings are taken as flags too, as by `catnap serve`.
    """
    settings = load(config, parse_flags(ctx.args)).settings
    for line in describe(settings, reveal=reveal or sys.stdout.isatty()):
        click.echo(line)


def describe(settings: Settings, *, reveal: bool) -> Iterator[str]:
    """Yield the lines: URLs, then the logins."""
    yield from (f"open   {url}" for url in urls(settings.server))
    if settings.member.provider == "noauth":
        yield "login  any name, no password; everybody is an admin"
        return
    if settings.member.provider == "file":
        yield f"login  the members in {settings.member.file.path}"
        return
    if settings.member.provider == "object":
        for user in settings.member.object.users:
            shown = user.password.get_secret_value() if reveal else "in member.object.users"
            yield f"login  {user.username}, password {shown}"
        return
    chosen, usual = settings.member.multiuser, MultiuserSettings()
    passwords = (
        ("user ", "user_password", chosen.user_password, usual.user_password),
        ("admin", "admin_password", chosen.admin_password, usual.admin_password),
    )
    for who, key, password, default in passwords:
        yield f"{who}  any name, {_password(key, password, default, reveal=reveal)}"


def urls(server: ServerSettings) -> Iterator[str]:
    """Yield the addresses of the page, the one for this machine first."""
    host, port = server.address
    scheme = "https" if server.tls else "http"
    if port == 0:
        yield f"{scheme}://localhost at the port that the log names (server.bind is {server.bind})"
        return
    usual = 443 if server.tls else 80
    end = ("" if port == usual else f":{port}") + server.path_prefix
    if host not in _EVERY_ADDRESS:
        shown = "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
        yield f"{scheme}://{shown}{end}"
        return
    yield f"{scheme}://localhost{end}"
    for adapter in ifaddr.get_adapters():
        for address in adapter.ips:
            if isinstance(address.ip, str) and not address.ip.startswith(("127.", "169.254.")):
                yield f"{scheme}://{address.ip}{end}"


def _password(key: str, password: SecretStr, default: SecretStr, *, reveal: bool) -> str:
    text = password.get_secret_value()
    if not text:
        return "no password"
    if reveal or text == default.get_secret_value():
        return f"password {text}"
    return f"the password in member.multiuser.{key}"
