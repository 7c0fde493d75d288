"""The configuration: settings models, and loading them from YAML, environment and flags."""

from streamserver.config.errors import ConfigError
from streamserver.config.loader import Loaded, load_settings
from streamserver.config.settings import Settings

__all__ = ["ConfigError", "Loaded", "Settings", "load_settings"]
