"""The base of every section: frozen, closed to unknown keys, and a key without a value counts as missing."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """Map one mapping of a file onto attributes of exactly the same names."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_keys_without_value(cls, value: object) -> object:
        """Let `password_file:` and `username: ${NAME:-}` mean what leaving the line out means."""
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if not cls._counts_as_missing(key, item)}

    @classmethod
    def _counts_as_missing(cls, key: object, item: object) -> bool:
        field = cls.model_fields.get(str(key))
        if field is None:
            return False
        return item is None or (item == "" and field.default is None)
