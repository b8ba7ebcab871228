"""The rules a person gave for context fields: native types, keys to drop, what to redact.

A frozen value that mapping understands, so that it needs nothing of the configuration; whoever wires builds it
from `context_fields.yml`. Paths are the keys joined with dots, without `context.` in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

NativeType = Literal["long", "double", "date", "ip", "text", "keyword"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRules:
    """Hold what `context_fields.yml` says.

    `detectors` None means every one that mapping knows but `email`; `patterns` are further (name, regular
    expression) pairs, searched in texts and replaced where they match.
    """

    types: Mapping[str, NativeType] = field(default_factory=dict)
    drop: Sequence[str] = ()
    redact_keys: Sequence[str] = ()
    detectors: Sequence[str] | None = None
    email: bool = False
    patterns: Sequence[tuple[str, str]] = ()
