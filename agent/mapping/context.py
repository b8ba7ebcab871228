"""The context as it comes: text of the column → an object to walk, nothing, or text that is no JSON.

Promises: never raises, whatever the text; an object keeps its values' JSON types; numbers beyond 64 bits keep their
digits. Modules write PHP's `[]` for «empty», scalars, JSON inside a JSON string, and rows cut by the server.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import orjson

from agent.mapping.sound import sound

WRAP_KEY = "value"
LONGEST_INT = 300
"""Digits beyond which an integer is kept as a string: the server's parser refuses tokens of more than 1 000
characters, and no double holds more than 309."""

DEEPEST = 100
"""Levels of nesting beyond which a context stays text."""

_DECODINGS = 3
_BLANK = " \t\r\n\ufeff"


class Decoded(NamedTuple):
    """Hold an object to walk (None: no context), or the error that says why the text stays text."""

    value: dict[str, Any] | None
    error: str | None = None


NOTHING = Decoded(None)
TOO_DEEP = Decoded(None, "nested too deeply")


def decode(text: str) -> Decoded:
    """Decode the text of one context column."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _decode_odd(text)
    return _shape(value, text)


def decode_exactly(text: str) -> Decoded:
    """Decode, keeping the digits of numbers beyond 64 bits that the fast parser makes floats of."""
    return _decode_odd(text)


def too_deep(value: Any) -> bool:
    """Return whether a value is nested beyond DEEPEST levels; without recursion, which such a value would break."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for item in level
            if item.__class__ is dict or item.__class__ is list
            for inner in (item.values() if item.__class__ is dict else item)
        ]
        if not level:
            return False
    return True


def _decode_odd(text: str) -> Decoded:
    stripped = text.strip(_BLANK)
    if not stripped:
        return NOTHING
    try:
        return _shape(_loads_exactly(stripped), stripped)
    except RecursionError:
        return TOO_DEEP
    except ValueError as error:
        return Decoded(None, str(error))


def _shape(value: Any, text: str) -> Decoded:
    # Counting brackets is far cheaper than walking, and no text is deeper than it has brackets.
    if text.count("{") + text.count("[") > DEEPEST and too_deep(value):
        return TOO_DEEP
    for _ in range(_DECODINGS):
        if not isinstance(value, str):
            break
        inner = _inner(value)
        if inner is None:
            break
        value = inner
    if isinstance(value, dict):
        return Decoded(value)
    if value is None or value in ([], ""):
        return NOTHING
    return Decoded({WRAP_KEY: value})


def _inner(text: str) -> Any:
    """Return what a JSON string itself holds, if that is an object, an empty array, or a string of the same kind."""
    stripped = text.strip(_BLANK)
    if stripped[:1] not in ("{", "[", '"'):
        return None
    try:
        inner = _loads_exactly(stripped)
    except (ValueError, RecursionError):
        return None
    return inner if isinstance(inner, dict | str) or inner == [] else None


def _loads_exactly(text: str) -> Any:
    return sound(json.loads(text, parse_int=_integer, parse_float=_float, parse_constant=str))


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= LONGEST_INT else digits


def _float(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text
