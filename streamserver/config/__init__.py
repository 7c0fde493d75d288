"""The configuration: settings models, and loading them from YAML, environment and flags."""

from streamserver.config.errors import ConfigError
from streamserver.config.loader import Loaded, load_settings
from streamserver.config.settings import (
    BrowserSettings,
    CaptureSettings,
    DesktopSettings,
    LogSettings,
    MemberSettings,
    PluginsSettings,
    ServerSettings,
    SessionSettings,
    Settings,
    WebRTCSettings,
)

__all__ = [
    "BrowserSettings",
    "CaptureSettings",
    "ConfigError",
    "DesktopSettings",
    "Loaded",
    "LogSettings",
    "MemberSettings",
    "PluginsSettings",
    "ServerSettings",
    "SessionSettings",
    "Settings",
    "WebRTCSettings",
    "load_settings",
]
