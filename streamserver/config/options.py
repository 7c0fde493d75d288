"""Every setting as one flat list, read from the models: what all sources, help and docs share."""

import enum
import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from streamserver.config.types import DefaultText, Form, ScreenSize, Unit, format_duration, format_size

ENV_PREFIX = "NEKO_"
"""What the names of environment variables begin with."""


class Kind(enum.Enum):
    """How a setting is written as one text, in the environment or as a flag."""

    SCALAR = "scalar"
    LIST = "list"
    STRUCTURE = "structure"


@dataclass(frozen=True)
class Option:
    """One setting."""

    key: str
    """Dotted key, `session.cookie.http_only`."""
    kind: Kind
    type: object
    """The Python type, without its annotations."""
    form: str
    """What is accepted, as the end of "accepted: …"."""
    unit: str
    default: object
    default_text: str
    description: str
    secret: bool
    """The value, or a part of it, must not be shown."""

    @property
    def env(self) -> str:
        """Name of the environment variable."""
        return env_name(self.key)

    @property
    def section(self) -> str:
        """First part of the key; empty for a setting at the top."""
        return self.key.partition(".")[0] if "." in self.key else ""

    @property
    def path(self) -> tuple[str, ...]:
        """The key's parts."""
        return tuple(self.key.split("."))

    def text(self, value: object) -> str:
        """Return a value of this setting as a person writes it."""
        return _text(value, self.unit)


def env_name(key: str) -> str:
    """Return the environment variable of a dotted key."""
    return ENV_PREFIX + key.upper().replace(".", "_")


def options_of(model: type[BaseModel], prefix: str = "") -> Iterator[Option]:
    """Yield the settings of a model and of the models in it, in the order they are written there."""
    for name, field in model.model_fields.items():
        if prefix == "" and name == "plugin_settings":
            continue
        key = f"{prefix}{field.alias or name}"
        bare = _bare(field.annotation)
        if isinstance(bare, type) and issubclass(bare, BaseModel):
            yield from options_of(bare, f"{key}.")
        else:
            yield _option(key, field, bare)


def _option(key: str, field: FieldInfo, bare: object) -> Option:
    metadata = [*field.metadata, *_inner_metadata(field.annotation)]
    unit = next((item.text for item in metadata if isinstance(item, Unit)), "")
    default = field.get_default(call_default_factory=True)
    worded = next((item.text for item in metadata if isinstance(item, DefaultText)), None)
    return Option(
        key=key,
        kind=_kind(bare),
        type=bare,
        form=_form(bare, metadata, unit),
        unit=unit,
        default=default,
        default_text=_text(default, unit) if worded is None else worded,
        description=field.description or "",
        secret=_has_secret(bare),
    )


def _bare(annotation: object) -> object:
    """Return the annotation without Annotated and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [argument for argument in get_args(annotation) if argument is not type(None)]
        if len(rest) == 1:
            return _bare(rest[0])
    return annotation


def _inner_metadata(annotation: object) -> list[object]:
    """Return the metadata of an annotation's parts, such as that of a list's elements."""
    found: list[object] = []
    if get_origin(annotation) is Annotated:
        found += get_args(annotation)[1:]
    for argument in get_args(annotation):
        if get_origin(argument) is Annotated:
            found += _inner_metadata(argument)
    return found


def _kind(bare: object) -> Kind:
    if get_origin(bare) in (tuple, list, set, frozenset):
        element = _bare(get_args(bare)[0])
        structured = isinstance(element, type) and issubclass(element, BaseModel)
        return Kind.STRUCTURE if structured else Kind.LIST
    return Kind.STRUCTURE if get_origin(bare) is dict or bare is dict else Kind.SCALAR


def _form(bare: object, metadata: Sequence[object], unit: str) -> str:
    worded = next((item.text for item in metadata if isinstance(item, Form)), None)
    bounds = _bounds(metadata, unit)
    if worded is not None:
        return f"{worded}, {bounds}" if bounds else worded
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(bare))
    if _kind(bare) is Kind.LIST:
        return "a list of texts"
    if _kind(bare) is Kind.STRUCTURE:
        return "a map"
    plain: Mapping[object, str] = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        SecretStr: "text",
        Path: "a path",
    }
    return f"{plain.get(bare, 'a value')} {bounds}".rstrip()


def _bounds(metadata: Sequence[object], unit: str) -> str:
    words = []
    for item in metadata:
        match item:
            case Ge(ge=low):
                words.append(f"from {_text(low, unit)}")
            case Gt(gt=low):
                words.append(f"above {_text(low, unit)}")
            case Le(le=high):
                words.append(f"to {_text(high, unit)}" if words else f"at most {_text(high, unit)}")
            case Lt(lt=high):
                words.append(f"below {_text(high, unit)}")
            case _:
                pass
    return " ".join(words)


def _has_secret(bare: object) -> bool:
    if isinstance(bare, type) and issubclass(bare, SecretStr):
        return True
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return any(_has_secret(_bare(field.annotation)) for field in bare.model_fields.values())
    return any(_has_secret(_bare(argument)) for argument in get_args(bare))


def _text(value: object, unit: str) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value == "" or value == () or value == {} or value == []:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        if unit == "duration":
            return format_duration(value)
        return (
            format_size(int(value))
            if unit == "size"
            else f"{value:g}"
            if isinstance(value, float)
            else str(value)
        )
    if isinstance(value, ScreenSize | str | Path):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return json.dumps(value, default=str)
