"""What all settings models share."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of the settings: frozen, no unknown keys; a field's docstring is its documentation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True
    )
