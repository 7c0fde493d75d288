"""Every setting of the host agent: its default, unit and a sentence.

A YAML file (optional), then environment variables (`CATNAP_HOST_WAKE_DEADLINE` for `wake.deadline`), then
flags (`--wake.deadline=20s`); the later wins. `docs/host-agent.md` has the table, and a test compares it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic.fields import FieldInfo

from hostagent.durations import format_duration, parse_duration
from hostagent.errors import HostError

ENV_PREFIX = "CATNAP_HOST_"


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
"""Seconds; written in Go's syntax, or as a plain number of seconds."""


class SettingsError(HostError):
    """The settings cannot be used; a line for each mistake."""

    code = "bad_request"
    status = 400


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )


class LogSettings(_Section):
    """What the agent writes to standard output."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines of this level and above are written."""
    json_lines: bool = Field(default=False, alias="json")
    """Write a JSON object per line."""


class ApiSettings(_Section):
    """How programs reach the agent besides its unix socket."""

    bind: str = ""
    """`127.0.0.1:PORT` (or `[::1]:PORT`) to listen there, too, with `api.token`; loopback only."""
    token: SecretStr = SecretStr("")
    """The bearer token that callers of `api.bind` must show; at least 16 characters."""
    events_kept: int = Field(default=4096, ge=16, le=1_000_000)
    """How many past events can be replayed; older ones are forgotten."""
    event_queue: int = Field(default=256, ge=8, le=100_000)
    """How many events wait for a subscriber that does not read, before its stream is closed."""
    max_body: int = Field(default=1 << 20, ge=1024, le=1 << 30)
    """Bytes of a request's body that are read; longer ones are refused."""

    @field_validator("bind")
    @classmethod
    def _loopback(cls, value: str) -> str:
        if not value:
            return value
        host, separator, port = value.rpartition(":")
        try:
            fits = bool(separator) and ip_address(host.strip("[]")).is_loopback and 0 <= int(port) < 65536
        except ValueError:
            fits = False
        if not fits:
            raise ValueError(
                f"{value!r} is no loopback address with a port, such as 127.0.0.1:8090; "
                "for other machines put a proxy with TLS in front"
            )
        return value

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 16:
            raise ValueError("is shorter than 16 characters; make one with `openssl rand -hex 32`")
        return value


class NetworkSettings(_Section):
    """Where instances get their addresses."""

    subnet4: IPv4Network = IPv4Network("10.211.0.0/16")
    """Each instance gets one address (/32) of this network."""
    subnet6: IPv6Network = IPv6Network("fd7a:ca7:a9::/64")
    """Each instance gets one address (/128) of this network."""


class ProcessSettings(_Section):
    """How commands are run."""

    group: str = Field(default="catnap", pattern=r"[a-z0-9][a-z0-9_-]{0,40}")
    """The cgroup above those of the instances; one for each agent of a machine."""
    first_uid: int = Field(default=1_879_000_000, ge=1000, le=4_000_000_000)
    """The user id of the first instance's own account; the others follow."""
    uids: int = Field(default=65_536, ge=1, le=1_000_000)
    """How many user ids there are, which bounds the number of instances."""
    stop_grace: Duration = Field(default=10.0, gt=0, le=3600)
    """How long a command may take to end after SIGTERM, before SIGKILL."""


class GateSettings(_Section):
    """The file instances hold themselves awake with."""

    enabled: bool = True
    """Show every instance a `/uk/libukp/scale_to_zero_disable` of its own (needs /dev/fuse)."""


class WakeSettings(_Section):
    """What happens when a packet comes to somebody who sleeps."""

    max_concurrent: int = Field(default=16, ge=1, le=1024)
    """How many instances may be started by packets at a time; thawing has no limit."""
    deadline: Duration = Field(default=30.0, gt=0, le=600)
    """How long packets to a stopped instance wait for its service, before they are dropped."""
    max_pending: int = Field(default=256, ge=1, le=65_535)
    """How many packets wait for each stopped instance; more are dropped and counted."""
    ignore_source_cidrs: tuple[str, ...] = ()
    """Networks whose packets wake nobody, separated by commas."""
    on_replies: bool = False
    """Packets of connections that an instance opened itself wake it, too; else its sockets keep them."""

    @field_validator("ignore_source_cidrs", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )


class StandbySettings(_Section):
    """How instances are put to sleep."""

    max_concurrent: int = Field(default=16, ge=1, le=1024)
    """How many instances may go to sleep at a time."""
    deadline: Duration = Field(default=30.0, gt=0, le=600)
    """How long one may take to go to sleep, before it is given up and stays awake."""
    reconcile_delay: Duration = Field(default=2.0, gt=0, le=60)
    """How long after the last change an active instance's connections are read again."""
    reconnect_delay: Duration = Field(default=2.0, gt=0, le=60)
    """How long until a lost stream of connection events is opened again."""
    sync_interval: Duration = Field(default=300.0, ge=10, le=86_400)
    """How often everything is compared with the kernel's table."""
    max_lease: Duration = Field(default=86_400.0, gt=0, le=30 * 86_400)
    """The longest that one ping can keep an instance awake."""


class RunSettings(_Section):
    """What `catnap host run` asks for when its options do not say."""

    idle_timeout: Duration = Field(default=10.0, gt=0, le=7 * 86_400)
    """How long nobody may be connected before the instance sleeps."""


class SpanSettings(_Section):
    """OpenTelemetry."""

    file: Path | None = None
    """Append finished spans there as JSON. Empty: they go to the provider the process has, mostly none."""


class HostSettings(_Section):
    """All of them."""

    data_dir: Path = Path("/var/lib/catnap-host")
    """The journal, and a directory for each instance. Survives reboots."""
    run_dir: Path = Path("/run/catnap-host")
    """The API's socket (`agent.sock`, mode 0600), the gate's socket and mount."""
    log: LogSettings = LogSettings()
    api: ApiSettings = ApiSettings()
    network: NetworkSettings = NetworkSettings()
    process: ProcessSettings = ProcessSettings()
    gate: GateSettings = GateSettings()
    wake: WakeSettings = WakeSettings()
    standby: StandbySettings = StandbySettings()
    run: RunSettings = RunSettings()
    spans: SpanSettings = SpanSettings()

    @field_validator("api")
    @classmethod
    def _token_for_tcp(cls, value: ApiSettings) -> ApiSettings:
        if value.bind and not value.token.get_secret_value():
            raise ValueError("bind is set but token is not; make one with `openssl rand -hex 32`")
        return value

    @property
    def socket(self) -> Path:
        """The API's unix socket."""
        return self.run_dir / "agent.sock"

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.data_dir / "journal.db"

    def instance_dir(self, instance: str) -> Path:
        """The directory of one instance."""
        return self.data_dir / "instances" / instance


@dataclass(frozen=True, slots=True)
class Option:
    """One setting, for the loader and the documentation."""

    key: str
    """Dotted, as in the file and in flags."""
    description: str
    default: str

    @property
    def env(self) -> str:
        """The environment variable."""
        return ENV_PREFIX + self.key.replace(".", "_").upper()


def options() -> Iterator[Option]:
    """Yield every setting in the order of the models."""
    yield from _options(HostSettings, "")


def _options(model: type[BaseModel], prefix: str) -> Iterator[Option]:
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            yield from _options(field.annotation, key + ".")
        else:
            yield Option(key, field.description or "", _default_text(field))


def _default_text(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, SecretStr) or default is None or default in ("", ()):
        return "(empty)"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return format_duration(default)
    return str(default)


def load_settings(
    file: Path | None, environ: Mapping[str, str] | None = None, flags: Mapping[str, str] | None = None
) -> HostSettings:
    """Return the settings of a file, the environment and flags; raises SettingsError naming each mistake."""
    known = {option.key: option for option in options()}
    tree: dict[str, object] = _read(file) if file is not None else {}
    environ = os.environ if environ is None else environ
    for option in known.values():
        if option.env in environ:
            _put(tree, option.key, environ[option.env])
    for key, value in (flags or {}).items():
        if key not in known:
            raise SettingsError(f"--{key} is no setting; `catnap host agent --help` names them")
        _put(tree, key, value)
    try:
        return HostSettings.model_validate(tree)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        ]
        raise SettingsError("\n".join(lines)) from error


def _read(file: Path) -> dict[str, object]:
    import yaml  # most runs have no file

    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"the settings {file} cannot be read: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(f"the settings {file} are no mapping of names to values")
    return tree


def _put(tree: dict[str, object], key: str, value: object) -> None:
    *sections, name = key.split(".")
    for section in sections:
        inner = tree.setdefault(section, {})
        if not isinstance(inner, dict):
            inner = tree[section] = {}
        tree = inner
    tree[name] = value
