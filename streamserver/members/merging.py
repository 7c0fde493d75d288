"""Changing some fields of a model the way neko decodes JSON into a struct that is filled already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def merge(base: Model, changes: Mapping[str, JsonValue]) -> Model:
    """Return `base` with `changes` laid over it.

    Unknown keys are ignored, keys match in any case, and null changes nothing; but `plugins` is merged key by
    key, and a null there forgets them all.

    Raises:
        ValueError: a field has the wrong type; the sentence names the field and what it is.
    """
    merged: dict[str, JsonValue] = base.model_dump()
    for key, value in changes.items():
        field = key.lower()
        if field == "plugins":
            before = merged.get(field)
            if isinstance(before, dict) and isinstance(value, dict):
                value = {**before, **value}
            merged[field] = value
        elif value is not None:
            merged[field] = value
    try:
        return type(base).model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field} is {first['input']!r}: {first['msg']}") from None
