"""The settings of the gate: section `scaletozero`."""

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field

from plugins.scaletozero.callers import networks
from streamserver.config.section import Section
from streamserver.config.types import Duration, Form

Cidr = Annotated[str, Form("a network such as 10.0.0.0/8")]


def _checked(cidrs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(str, networks(cidrs)))


UrlPath = Annotated[str, Field(pattern=r"^/[^?#]*$"), Form("a path such as /health")]


class ScaleToZeroSettings(Section):
    """Telling the platform when the machine may sleep."""

    enabled: bool = False
    """Write to the control file while somebody is connected."""
    control_file: Path = Path("/uk/libukp/scale_to_zero_disable")
    """File that takes `+` (stay awake) and `-` (may sleep). Where it is absent nothing is written."""
    cooldown: Annotated[Duration, Le(86_400)] = 1.0
    """How long after the last one has left the machine may sleep; 0 for at once."""
    write_timeout: Annotated[Duration, Ge(0.01), Le(60)] = 1.0
    """How long anybody waits for the control file; a new connection goes on after that, and it is retried."""
    drain_timeout: Annotated[Duration, Le(2.5)] = 1.0
    """How long a shutdown waits for our `-` to be written."""
    requests: bool = True
    """Hold the machine awake for HTTP requests and WebSockets of others, until their answers have left."""
    ignore_paths: tuple[UrlPath, ...] = ("/health", "/metrics")
    """Requests for exactly these paths never hold (below `server.path_prefix`, without the query)."""
    response_drain: Annotated[Duration, Ge(0.1), Le(3600)] = 300.0
    """How long an answer may take to leave once it is made; then its connection is ended."""
    idle_viewer_timeout: Annotated[Duration, Le(86_400)] = 0.0
    """How long a page may be hidden and send no input until it lets go of its connection; 0 for ever."""
    trusted_cidrs: Annotated[tuple[Cidr, ...], AfterValidator(_checked)] = ()
    """Networks whose programs may pin and take leases without credentials, such as `10.0.0.0/8`."""
