"""JSON as PHP's json_encode writes it by default: `\\/` for slashes, `\\uXXXX` for all that is not ASCII."""

from __future__ import annotations

import json

_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


def encode(value: object) -> str:
    """Encode a value; an empty PHP array is `[]` whether a list or a map was meant."""
    return "[]" if value == {} else _ENCODER.encode(value).replace("/", "\\/")
