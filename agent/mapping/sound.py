"""Sound values: what JSON bytes can hold. Half characters are replaced, integers beyond 64 bits keep their digits."""

from __future__ import annotations

from typing import Any

import orjson

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def dumps(value: Any) -> bytes:
    """Return the JSON bytes of a value that may hold what orjson refuses; the common case pays nothing.

    The bytes are copied, because orjson's own keep the kilobytes it reserved while it wrote.
    """
    try:
        return b"%b" % orjson.dumps(value)
    except orjson.JSONEncodeError:
        return orjson.dumps(_with_fragments(sound(value)))


def sound(value: Any) -> Any:
    """Return the value with halves of surrogate pairs replaced, in strings and keys."""
    if isinstance(value, str):
        return _sound_text(value)
    if isinstance(value, list):
        return [sound(item) for item in value]
    if isinstance(value, dict):
        return {_sound_text(key): sound(item) for key, item in value.items()}
    return value


def _sound_text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _with_fragments(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_fragments(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_fragments(item) for key, item in value.items()}
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return orjson.Fragment(str(value))
    return value
