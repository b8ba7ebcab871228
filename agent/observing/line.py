"""One event becomes one line, whatever its fields hold.

Values come from rows, servers and files, so they are nobody's friend: a newline could forge a second line, an escape
sequence could repaint an operator's terminal, a bidirectional mark could turn a name round. All of these are shown
as visible escapes. A value never makes a line longer than a screenful either.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Long enough for a traceback, far below what a row or an error page could bring.
LONGEST_VALUE_CHARACTERS = 4_000
_TAIL_CHARACTERS = 1_000
_DEEPEST_NESTING = 4
_MOST_ELEMENTS = 100

# Control characters (C0, DEL, C1), line and paragraph separators, bidirectional and zero-width marks, surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_PLAIN = re.compile(r"[^\s\"=\\]+")
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_.\-]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def neutralise(text: str) -> str:
    """Return the text on one line, with everything that could act on a terminal shown as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def neutralise_json(text: str) -> str:
    """Return JSON text that means the same, with nothing in it that could act on a terminal or end a line."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def shorten(text: str) -> str:
    """Return the text cut in its middle when it is too long: the start says what, the end of a traceback says why."""
    if len(text) <= LONGEST_VALUE_CHARACTERS:
        return text
    head = LONGEST_VALUE_CHARACTERS - _TAIL_CHARACTERS
    return f"{text[:head]} …[{len(text) - LONGEST_VALUE_CHARACTERS} characters cut]… {text[-_TAIL_CHARACTERS:]}"


def text_line(timestamp: str, level: str, event: str, fields: Mapping[str, Any]) -> str:
    """Return `<time> <level> <event> key=value …`; a value with blanks or quotes is quoted as in JSON."""
    words = [timestamp, level, neutralise(event)]
    words += [f"{_key(key)}={_quoted(_scalar(value))}" for key, value in fields.items()]
    return " ".join(words)


def json_line(timestamp: str, level: str, event: str, fields: Mapping[str, Any]) -> str:
    """Return one JSON object with the keys timestamp, level, event and the fields."""
    line: dict[str, Any] = {"timestamp": timestamp, "level": level, "event": neutralise(event)}
    for key, value in fields.items():
        line[_key(key)] = _plain(value)
    return json.dumps(line, ensure_ascii=False, allow_nan=False)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")


def _key(key: str) -> str:
    return _NOT_IN_KEYS.sub("_", key)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "-"
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return shorten(str(value))


def _quoted(text: str) -> str:
    safe = neutralise(text)
    # A value that had to be escaped is always quoted, and its own backslashes doubled, so that no value can look
    # like the end of itself followed by another field.
    if safe == text and _PLAIN.fullmatch(text):
        return text
    return '"' + neutralise(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _plain(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else str(value)
    if depth < _DEEPEST_NESTING and isinstance(value, dict):
        pairs = list(value.items())[:_MOST_ELEMENTS]
        return {neutralise(str(key)): _plain(inner, depth + 1) for key, inner in pairs}
    if depth < _DEEPEST_NESTING and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner, depth + 1) for inner in list(value)[:_MOST_ELEMENTS]]
    return neutralise(shorten(str(value)))
