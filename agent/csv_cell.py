"""The CSV cell: how one value is written so that a spreadsheet shows it, keeps it, and never runs it (pure).

Text is always quoted and NULL never is, so the two stay apart. Text that a spreadsheet would take for a formula gets a
leading apostrophe; text that begins with one by itself gets one more, so that `plain` takes off exactly what `cell` put
on. Lines end as RFC 4180 says.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.row import Value

# The last four are what an input method for Chinese, Japanese or Korean makes of the first: Excel takes them alike.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_MARKED = (*_FORMULA, "'")


def line(values: Iterable[Value]) -> str:
    """Return one line, its end included."""
    return ",".join(map(cell, values)) + "\r\n"


def cell(value: Value) -> str:
    """Return one value as a cell."""
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    text = "'" + value if value.startswith(_MARKED) else value
    return '"' + text.replace('"', '""') + '"'


def plain(text: str) -> str:
    """Return what a cell's text was before it was made harmless."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_MARKED) else text
