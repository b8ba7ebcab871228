"""The numeric string: which strings OpenSearch takes as a `double`, so which of them count as numbers here.

The server hands strings to Java's `Double.parseDouble`, which trims blanks and control characters and knows
exponents, hexadecimal floats and the suffixes f and d; what is not finite it refuses. To say no where the server
says yes would make a range miss its first values, so the grammar is Java's, not Python's.
"""

from __future__ import annotations

import math
import re

NUMBER_STARTS = frozenset("0123456789+-. ") | {chr(code) for code in range(0x20)}
"""What a numeric string may begin with: a set, because the walk asks for every string it meets."""

_DECIMAL = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?", re.ASCII)
_HEX = re.compile(r"([+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+)[fFdD]?", re.ASCII)
_TRIMMED = "".join(chr(code) for code in range(0x21))


def is_number(text: str) -> bool:
    """Return whether the server would index this string in a `double` field."""
    trimmed = text.strip(_TRIMMED)
    decimal = _DECIMAL.fullmatch(trimmed)
    if decimal is not None:
        return math.isfinite(float(decimal[1]))
    hexadecimal = _HEX.fullmatch(trimmed)
    if hexadecimal is None:
        return False
    try:
        return math.isfinite(float.fromhex(hexadecimal[1]))
    except OverflowError:
        return False
