"""The settings of `catnap serve`, one model per section.

The dotted key of a setting is its path in these models (`session.cookie.http_only`); keys, units and
meanings are neko v3's where neko has them. The docstring of a field is what `--help` and
`docs/configuration.md` say about it.
"""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import BaseModel, Field, SecretStr

from streamserver.config.media_settings import (
    BrowserSettings,
    CaptureSettings,
    DesktopSettings,
    WebRTCSettings,
)
from streamserver.config.profile import ProfileOverrides
from streamserver.config.section import Section
from streamserver.config.types import (
    BindAddress,
    ByteSize,
    DefaultText,
    Duration,
    Form,
    LogLevel,
    OptionalPath,
    Origin,
    PathPrefix,
    RequiredPath,
    Unit,
    split_address,
)


def default_run_dir() -> Path:
    """Return the directory for sockets and markers: `/run/catnap`, or a private one of the user's."""
    if os.geteuid() == 0:
        return Path("/run/catnap")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "catnap"
    return Path(tempfile.gettempdir()) / f"catnap-{os.geteuid()}"


class LogSettings(Section):
    """What the server's log says, and how."""

    level: LogLevel = "info"
    """The lowest level that is logged."""
    levels: Annotated[
        dict[str, LogLevel], Form("a map from module to level, such as {webrtc: debug, aioice: info}")
    ] = Field(default_factory=dict)
    """Levels of single modules; libraries log warnings and worse unless they are named here."""
    json_lines: Annotated[bool, Field(alias="json")] = False
    """One JSON object per line in place of the console format."""
    nocolor: bool = False
    """No colour on a terminal either (the variable NO_COLOR does the same)."""


class ServerSettings(Section):
    """The web server."""

    bind: BindAddress = "127.0.0.1:8080"
    """Address and TCP port that HTTP and WebSocket listen on; port 0 is any free one."""
    cert: OptionalPath = None
    """TLS certificate chain (PEM); together with `server.key` the server speaks HTTPS."""
    key: OptionalPath = None
    """TLS private key (PEM) for `server.cert`."""
    proxy: bool = False
    """Trust X-Forwarded-For and X-Real-IP; only behind a reverse proxy that sets them."""
    static: OptionalPath = None
    """Directory with another page to serve in place of the built-in one."""
    path_prefix: PathPrefix = "/"
    """URL path under which everything is served."""
    metrics: bool = True
    """Serve Prometheus metrics at `/metrics`."""
    cors: tuple[Origin, ...] = ()
    """Web origins besides our own that may use the API; `*` allows every one."""
    max_message_size: Annotated[ByteSize, Ge(1024), Le(64 * 1024 * 1024)] = 1024 * 1024
    """Largest WebSocket message taken from a client; a larger one closes that connection."""
    max_body_size: Annotated[ByteSize, Ge(1024), Le(1024 * 1024 * 1024)] = 1024 * 1024
    """Largest body of an HTTP request; a larger one is answered with 413."""
    max_header_size: Annotated[ByteSize, Ge(4096), Le(1024 * 1024)] = 16 * 1024
    """Largest head of an HTTP request (request line and headers); a larger one gets 431 or 400."""
    max_connections: Annotated[int, Ge(8), Le(100_000)] = 1000
    """Connections at a time, WebSockets included; one more is answered with 503."""
    request_timeout: Annotated[Duration, Ge(0.1), Le(3600)] = 30.0
    """How long the body of a request may take to arrive, and one second more for each 16 KiB of it."""
    idle_timeout: Annotated[Duration, Ge(0.1), Le(3600)] = 5.0
    """How long an HTTP connection without a request is kept; a host may not sleep while one is open."""
    write_timeout: Annotated[Duration, Ge(1), Le(3600)] = 20.0
    """A connection whose client takes none of our output for this long is ended."""
    run_dir: Annotated[
        RequiredPath, DefaultText("/run/catnap; without root $XDG_RUNTIME_DIR/catnap or a temporary one")
    ] = Field(default_factory=default_run_dir)
    """Directory for sockets and markers, which need not outlive a reboot."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `bind`; an empty host is every IPv4 address."""
        return split_address(self.bind)

    @property
    def tls(self) -> bool:
        """Whether the server speaks HTTPS."""
        return self.cert is not None and self.key is not None


class CookieSettings(Section):
    """The session cookie."""

    enabled: bool = False
    """Answer every login with a cookie and no token in the body (our page asks for a cookie by itself)."""
    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"), Form("a cookie name such as NEKO_SESSION")
    ] = "NEKO_SESSION"
    """Name of the cookie."""
    expiration: Annotated[Duration, Ge(1)] = 24 * 3600.0
    """How long the browser keeps the cookie."""
    secure: bool = True
    """Mark cookies of `session.cookie.enabled` Secure, so that they only travel over HTTPS."""
    http_only: bool = True
    """Hide the cookie from the scripts of the page."""
    domain: str = ""
    """Domain of the cookie; empty is the host that answered."""
    path: str = ""
    """Path of the cookie; empty is `server.path_prefix`."""


class SessionSettings(Section):
    """Sessions, and the rules of the room at start (an admin can change these while it runs)."""

    file: OptionalPath = None
    """File that keeps sessions over a restart; none: they end with the server."""
    private_mode: bool = False
    """Only admins see and control the browser."""
    locked_logins: bool = False
    """Only admins can log in."""
    locked_controls: bool = False
    """Only admins can take control."""
    control_protection: bool = False
    """Controls are locked while no admin is connected."""
    implicit_hosting: bool = False
    """Whoever clicks or types takes control, without asking."""
    inactive_cursors: bool = False
    """Show the cursors of those who do not control."""
    merciful_reconnect: bool = True
    """A second connection of a session replaces the first in place of being refused."""
    heartbeat_interval: Annotated[int, Ge(1), Le(3600), Unit("s")] = 10
    """Seconds between two heartbeat messages."""
    api_token: SecretStr = SecretStr("")
    """Token that gives programs the rights of an admin; empty: none."""
    cookie: CookieSettings = CookieSettings()
    disconnect_delay: Annotated[Duration, Le(3600)] = 5.0
    """How long a lost connection counts as connected, so that a reconnect goes unnoticed."""
    ping_interval: Annotated[Duration, Ge(0.1), Le(3600)] = 5.0
    """Time between two WebSocket pings."""
    ping_timeout: Annotated[Duration, Ge(0.1), Le(3600)] = 10.0
    """A client that does not answer a ping for this long is gone."""
    login_delay: Annotated[Duration, Le(3600)] = 60.0
    """The longest wait that failed logins from one address lead to (for one name: half); 0: none."""
    max_sessions: Annotated[int, Ge(1), Le(100_000)] = 1000
    """Most sessions that are known at once; a login beyond that forgets the one that is away longest."""
    connecting_timeout: Annotated[Duration, Ge(0.1), Le(60)] = 5.0
    """How long each plugin may hold up a new connection (to wake something first, for example)."""
    message_rate: Annotated[int, Ge(10), Le(1_000_000), Unit("messages/s")] = 500
    """Most WebSocket messages handled per second and connection; a faster client is read more slowly."""


class MultiuserSettings(Section):
    """Two passwords for everybody: one for users, one for admins."""

    user_password: SecretStr = SecretStr("neko")
    """Password that makes a user."""
    admin_password: SecretStr = SecretStr("admin")
    """Password that makes an admin."""
    user_profile: ProfileOverrides = Field(default_factory=dict)
    """What users may do, where it differs from the usual rights."""
    admin_profile: ProfileOverrides = Field(default_factory=dict)
    """What admins may do, where it differs from the usual rights."""


class ObjectUser(Section):
    """A member that is written in the settings."""

    username: str
    password: SecretStr
    profile: ProfileOverrides = Field(default_factory=dict)


class ObjectSettings(Section):
    """Members written in the settings."""

    users: Annotated[
        tuple[ObjectUser, ...],
        Form('a list such as [{"username": "ann", "password": "…", "profile": {"can_login": true}}]'),
    ] = ()
    """Who may log in. Rights that a profile does not name are not given. Changes end with the server."""


class FileSettings(Section):
    """Members in a file."""

    path: OptionalPath = None
    """JSON file with the members, in neko's format; made when absent. An edit by hand holds at once."""
    hash: bool = True
    """Keep hashes of passwords (argon2; neko's own are understood), not the passwords themselves."""


class MemberSettings(Section):
    """Who may log in."""

    provider: Literal["multiuser", "object", "file", "noauth"] = "multiuser"
    """`multiuser`: a password for users and one for admins; `object`: the members of `member.object.users`;
    `file`: those of the file `member.file.path`; `noauth`: everybody is an admin, no password."""
    file: FileSettings = FileSettings()
    object: ObjectSettings = ObjectSettings()
    multiuser: MultiuserSettings = MultiuserSettings()


class PluginsSettings(Section):
    """Plugins besides the built-in ones."""

    enabled: bool = False
    """Load plugins from `plugins.dir`."""
    dir: RequiredPath = Path("./bin/plugins")
    """Directory with plugins: Python modules and packages."""
    required: bool = False
    """A plugin that cannot be loaded or started ends the server."""


class Settings(Section):
    """Everything `catnap serve` can be told."""

    debug: bool = False
    """Log at level debug (a `log.level` of trace stays)."""
    legacy: bool = True
    """Serve neko v2's protocol as well (`/ws`, `/file`, `/stats`, `/screenshot.jpg`). Its setting names are
    not read."""
    log: LogSettings = LogSettings()
    server: ServerSettings = Field(default_factory=ServerSettings)
    session: SessionSettings = SessionSettings()
    member: MemberSettings = MemberSettings()
    desktop: DesktopSettings = DesktopSettings()
    browser: BrowserSettings = Field(default_factory=BrowserSettings)
    capture: CaptureSettings = CaptureSettings()
    webrtc: WebRTCSettings = WebRTCSettings()
    plugins: PluginsSettings = PluginsSettings()
    plugin_settings: dict[str, BaseModel] = Field(default_factory=dict)
    """The settings of the plugins, by plugin name."""


__all__ = [
    "BrowserSettings",
    "CaptureSettings",
    "CookieSettings",
    "DesktopSettings",
    "LogSettings",
    "MemberSettings",
    "MultiuserSettings",
    "PluginsSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "WebRTCSettings",
    "default_run_dir",
]
