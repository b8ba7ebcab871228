"""config/context_fields.yml: native types of known context keys, keys to drop, and what is redacted.

Paths are the keys of the JSON joined with dots, without `context.` in front. Redaction is on by default, also
without this file: a secret that has reached an index is hard to get out of it again.
"""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from agent.config.addresses import Name
from agent.config.section import Section
from agent.config.values import Checked, Flag, OneOf, Text, refuse, split_commas
from agent.mapping.detectors import DETECTORS, EMAIL
from agent.mapping.redaction import LONGEST_PATTERN, compiled

NATIVE_TYPES = ("long", "double", "date", "ip", "text", "keyword")
_INSTEAD = {
    "integer": "long",
    "int": "long",
    "short": "long",
    "byte": "long",
    "float": "double",
    "number": "double",
    "datetime": "date",
    "timestamp": "date",
    "string": "keyword",
    "boolean": "keyword",
    "bool": "keyword",
}
_PATH = "a path as server.id, without `context.` in front"
_PATTERN = f"a regular expression of at most {LONGEST_PATTERN} characters that does not match the empty text"
_DETECTOR_NAMES = tuple(detector.name for detector in (*DETECTORS, EMAIL))


def _path(value: object) -> str:
    if not isinstance(value, str) or not value or not all(value.split(".")) or value != value.strip():
        refuse(_PATH)
    if value.startswith("context."):
        refuse(_PATH, hint=f"; did you mean «{value.removeprefix('context.')}»?")
    return value


def _types(types: dict[str, str]) -> dict[str, str]:
    for path in types:
        if not path or not all(path.split(".")) or path.startswith("context."):
            meant = path.removeprefix("context.")
            hint = f"; did you mean «{meant}»?" if meant != path else ""
            refuse(_PATH, got=f"key «{path}»", hint=hint, at=(path,))
        parent = next((other for other in types if path.startswith(f"{other}.")), None)
        if parent is not None:
            refuse("either a value or keys below it", got=f"a type for «{path}» and one for «{parent}»", at=(path,))
    return types


def _pattern(value: object) -> str:
    if not isinstance(value, str) or not value:
        refuse(_PATTERN)
    try:
        compiled(value)
    except re.error as error:
        refuse(_PATTERN, hint=f"; {error.msg} at position {error.pos}")
    except ValueError as error:
        refuse(_PATTERN, hint=f"; {error}")
    return value


class RedactRule(Section):
    """Replace what a pattern finds in any text."""

    name: Annotated[str, Name()] = Field(description="its name in `[redacted:<name>]` and in the counts")
    pattern: Annotated[str, Checked(_PATTERN, _pattern)] = Field(
        description="regular expression, searched in every text; what it matches is replaced"
    )


class Redaction(Section):
    """Say what never reaches the index."""

    keys: Annotated[tuple[Annotated[str, Text()], ...], BeforeValidator(split_commas)] = Field(
        default=(), description="further key names whose values are replaced, besides the built-in ones"
    )
    detectors: Annotated[tuple[Annotated[str, OneOf(*_DETECTOR_NAMES)], ...] | None, BeforeValidator(split_commas)] = (
        Field(default=None, description="which detectors look into texts; left out: all of them")
    )
    email: Annotated[bool, Flag()] = Field(
        default=False, description="also replace e-mail addresses; off, because they help to find a customer's rows"
    )
    rules: tuple[RedactRule, ...] = Field(default=(), description="patterns of your own")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [rule.name for rule in self.rules]
        for position, name in enumerate(names):
            if name in names[:position]:
                refuse("a name of its own for each", got=f'"{name}"', at=("rules", position, "name"))
        return self


class ContextFields(Section):
    """Hold everything config/context_fields.yml says."""

    types: Annotated[dict[str, Annotated[str, OneOf(*NATIVE_TYPES, instead=_INSTEAD)]], AfterValidator(_types)] = Field(
        default={}, description="path → native type; other keys are keyword, with .text and .number as needed"
    )
    drop: tuple[Annotated[str, Checked(_PATH, _path)], ...] = Field(
        default=(), description="paths that are left out of the index altogether, with all below them"
    )
    redact: Redaction = Field(default=Redaction(), description="what never reaches the index")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for position, path in enumerate(self.drop):
            if path in self.types:
                refuse("either a type or drop", got=f"«{path}» in both", at=("drop", position))
        return self
