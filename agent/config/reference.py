"""docs/configuration.md, written from the models themselves.

    python -m agent.config.reference > docs/configuration.md

Type, default and meaning of a key are stated once, beside the key in its model; a test keeps the page equal to this.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config.alerts import AlertSettings
from agent.config.context_fields import ContextFields
from agent.config.reference_introduction import INTRODUCTION
from agent.config.retention import RetentionSettings
from agent.config.settings import Settings
from agent.config.translation import sections_in
from agent.config.values import Flag, OneOf, Rule

FILES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("agent.yml", Settings),
    ("retention.yml", RetentionSettings),
    ("context_fields.yml", ContextFields),
    ("alerts.yml", AlertSettings),
)


def reference() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    for file, model in FILES:
        parts.append(f"## {file}\n")
        parts.extend(_tables(model, ""))
    return "\n".join(parts)


def _tables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    plain = {name: field for name, field in model.model_fields.items() if not sections_in(field.annotation)}
    if plain:
        rows = [_row(prefix + name, field) for name, field in plain.items()]
        yield "\n".join(["| key | accepts | default | meaning |", "|---|---|---|---|", *rows, ""])
    for name, field in model.model_fields.items():
        for section in sections_in(field.annotation):
            path = prefix + name + ("[]" if field.default == () else "")
            description = f"{field.description}{_section_default(field)}"
            yield f"### `{path}`\n\n{description[0].upper()}{description[1:]}.\n"
            yield from _tables(section, f"{path}.")


def _section_default(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    if field.default is None:
        return " (default: left out)"
    return " (default: none)" if field.default == () else ""


def _row(path: str, field: FieldInfo) -> str:
    cells = (f"`{path}`", _accepts(field), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _accepts(field: FieldInfo) -> str:
    whole = any(isinstance(entry, Rule) for entry in field.metadata)
    rules = list(_rules(field.annotation, field.metadata))
    text = rules[0].allowed if rules else "text"
    if rules and isinstance(rules[0], OneOf | Flag):
        text = " | ".join(f"`{word}`" for word in text.replace(" or ", " | ").split(" | "))
    alternatives = (field.annotation, *typing.get_args(field.annotation))
    origins = {typing.get_origin(part) for part in alternatives} if not whole else set()
    if dict in origins:
        return f"a mapping to {text}"
    return f"a list of: {text}" if tuple in origins else text


def _rules(annotation: Any, metadata: list[Any]) -> Iterator[Rule]:
    yield from (entry for entry in metadata if isinstance(entry, Rule))
    inner = list(getattr(annotation, "__metadata__", ()))
    yield from (entry for entry in inner if isinstance(entry, Rule))
    for part in typing.get_args(annotation):
        yield from _rules(part, [])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None:
        return "none"
    rules = [entry for entry in field.metadata if isinstance(entry, Rule)]
    shown = rules[0].show(value) if rules else value
    if isinstance(shown, bool):
        return f"`{str(shown).lower()}`"
    if isinstance(shown, tuple):
        return ", ".join(f"`{item}`" for item in shown) if shown else "`[]`"
    return f"`{shown}`"


if __name__ == "__main__":
    sys.stdout.write(reference())
