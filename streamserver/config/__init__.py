"""The configuration: settings models, and loading them from YAML, environment and flags."""

from streamserver.config.errors import ConfigError
from streamserver.config.settings import Settings

__all__ = ["ConfigError", "Settings"]
