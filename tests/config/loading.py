"""Loading a configuration from texts, for the tests of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from streamserver.config import ConfigError, Loaded, PluginsSettings, load_settings
from streamserver.config.types import Duration


class NapSettings(BaseModel):
    """Settings of a made-up plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = False
    cooldown: Annotated[Duration, Field(le=60)] = 1.0
    paths: tuple[str, ...] = ("/health",)


class OpenSettings(BaseModel):
    """Settings that take any key."""

    model_config = ConfigDict(frozen=True, extra="allow")


MODELS: Mapping[str, type[BaseModel]] = {"nap": NapSettings}


def load(
    folder: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    models: Mapping[str, type[BaseModel]] = MODELS,
) -> Loaded:
    """Load a YAML text (as `neko.yaml`), variables and flags."""
    path = folder / "neko.yaml"
    path.write_text(text, encoding="utf-8")

    def plugin_models(_: PluginsSettings) -> Mapping[str, type[BaseModel]]:
        return models

    return load_settings(path, environ or {}, flags or {}, plugin_models)


def problems(
    folder: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> list[str]:
    """Return what is wrong with a configuration, without the folder's name."""
    try:
        load(folder, text, environ, flags)
    except ConfigError as error:
        return [problem.replace(f"{folder}/", "") for problem in error.problems]
    raise AssertionError("the configuration was accepted")
