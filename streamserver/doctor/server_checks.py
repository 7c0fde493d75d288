"""Checks of codecs, ports, the run directory and the control file."""

import errno
import os
import socket
from pathlib import Path

from streamserver.config import Settings
from streamserver.doctor.finding import Finding, limited, missing, ok

_CONTROL_FILE = Path("/uk/libukp/scale_to_zero_disable")
_INSTALL = "pip install 'catnap[serve]'"


def check_codecs() -> Finding:
    """Look for the encoders and the colour conversion."""
    import ctypes

    try:
        from av.codec import Codec

        encoders = [Codec(name, "w").name for name in ("libx264", "libopus")]
    except ImportError as error:
        return missing("codecs", f"PyAV cannot be imported: {error}", _INSTALL)
    except Exception as error:  # noqa: BLE001 (PyAV's own errors differ between versions)
        return missing(
            "codecs", f"PyAV has no encoder {error}", "pip install --force-reinstall av (its wheel has both)"
        )
    try:
        ctypes.CDLL("libyuv.so.0")
    except OSError:
        return missing("codecs", "libyuv.so.0 cannot be loaded", "apt-get install libyuv0")
    return ok("codecs", ", ".join([*encoders, "libyuv"]))


def check_tcp_port(settings: Settings) -> Finding:
    """Try to listen where HTTP will."""
    host, port = settings.server.address
    return _check_port("HTTP port", socket.SOCK_STREAM, host, port, "server.bind")


def check_udp_port(settings: Settings) -> Finding:
    """Try to listen where the media will."""
    if not settings.webrtc.icelite:
        return ok("UDP port", "each viewer has its own (webrtc.icelite is false)")
    return _check_port("UDP port", socket.SOCK_DGRAM, "0.0.0.0", settings.webrtc.udpmux, "webrtc.udpmux")  # noqa: S104


def check_media_tcp_port(settings: Settings) -> Finding:
    """Try to listen where media goes when a network blocks UDP."""
    webrtc = settings.webrtc
    port = webrtc.udpmux if webrtc.tcpmux is None else webrtc.tcpmux
    if webrtc.tcpmux == 0 or not webrtc.icelite:
        return ok("media by TCP", "off")
    return _check_port("media by TCP", socket.SOCK_STREAM, "0.0.0.0", port, "webrtc.tcpmux")  # noqa: S104


def _check_port(part: str, kind: socket.SocketKind, host: str, port: int, key: str) -> Finding:
    where = f"{host}:{port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as trial:
            if kind == socket.SOCK_STREAM:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return missing(part, f"{where} is in use", f"stop what runs there (catnap itself?), or set {key}")
        if error.errno == errno.EACCES:
            return missing(part, f"{where} needs more rights", f"set {key} to a port above 1023")
        return missing(part, f"{where}: {error.strerror or error}", f"set {key}")
    return ok(part, f"{where} is free" if port else f"any free one ({key} is 0)")


def check_run_directory(settings: Settings) -> Finding:
    """Look whether the run directory can be written or made."""
    path = settings.server.run_dir
    existing = next((place for place in (path, *path.absolute().parents) if place.exists()), Path("/"))
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return ok("run directory", str(path) if existing == path else f"{path} will be made")
    why = "cannot be written" if existing.is_dir() else "is no directory"
    return missing("run directory", f"{existing} {why}", "set server.run_dir")


def check_control_file(settings: Settings) -> Finding:
    """Look for the file that scale-to-zero is switched with."""
    plugin = settings.plugin_settings.get("scaletozero")
    if not getattr(plugin, "enabled", False):
        return ok("scale-to-zero", "off (scaletozero.enabled)")
    path = Path(getattr(plugin, "control_file", _CONTROL_FILE))
    if not path.exists():
        return limited(
            "scale-to-zero",
            f"{path} is not there: nothing is written, all else works",
            "normal outside of a platform that scales to zero; else set scaletozero.control_file",
        )
    if not os.access(path, os.W_OK):
        return missing("scale-to-zero", f"{path} cannot be written", "let the server's user write to it")
    return ok("scale-to-zero", f"{path} can be written")
