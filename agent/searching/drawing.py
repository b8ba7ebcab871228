"""What people see: rows as a table, one row in full, groups, and when things happened as a line of bars.

Nothing in a row reaches the terminal as it is: control characters, escape sequences and bidirectional marks are shown
as escapes, and no text is read as markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from agent.mapping.sound import dumps
from agent.observing.line import neutralise
from agent.searching.rows import MATCHED_IN_CONTEXT, Row, whole_context
from agent.searching.view import Bar

_COLOURS = {"error": "bold red", "warn": "yellow"}
_COLUMNS = ("time", "id", "severity", "module", "action", "source", "about", "ip", "detail")
_COLOURED = ("severity", "action")
_WHOLE = ("time", "id", "severity")
_GAP = 2
# On a narrow screen these make room for the detail.
_NARROW_COLUMNS = 150
_SPARED = ("source", "ip")
_BARS = " ▁▂▃▄▅▆▇█"
_IDS = (("service_id", "s"), ("client_id", "c"), ("admin_id", "a"))
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def table(rows: Iterable[Row], zone: ZoneInfo, width: int) -> Table:
    """Return rows as a table of at most `width`; service, client and admin share a column (`s71 c1234 a5`)."""
    columns = [name for name in _COLUMNS if width >= _NARROW_COLUMNS or name not in _SPARED]
    kept = [(row, dict(zip(_COLUMNS, _texts(row, zone), strict=True))) for row in rows]
    natural = {name: max(len(name), *(cell_len(texts[name]) for _, texts in kept), 0) for name in columns}
    drawn = _ruled(_fitting(natural, width).items(), number="id")
    for row, texts in kept:
        drawn.add_row(*(Text(texts[name], style=_style(row) if name in _COLOURED else "") for name in columns))
    return drawn


def plain_line(row: Row, zone: ZoneInfo) -> Text:
    """Return one row as one line, for a stream that has no last row to lay a table out by."""
    return Text("  ".join(text for text in _texts(row, zone) if text), style=_style(row))


def in_full(row: Row, zone: ZoneInfo) -> Text:
    """Return one row with everything it holds, its context laid out."""
    names = [name for name in row if name not in ("context", "context_overflow", "context_text", "agent")]
    width = max(map(len, names))
    lines = [f"{name:<{width}}  {_shown(name, row[name], zone)}" for name in names]
    lines += ["context", *_laid_out(whole_context(row))]
    # Where a value is not a field of its own, a person should know why it can't be grouped.
    notes = {key: value for key, value in (row.get("agent") or {}).items() if key not in ("crc", "crc_version")}
    lines += ["agent", *_laid_out(notes)]
    return Text("\n".join(lines))


def groups(found: Iterable[Mapping[str, Any]], names: Sequence[str], zone: ZoneInfo, width: int) -> Table:
    """Return groups as a table for so many columns; where there is little room the names are cut, never the figures."""
    texts = [_group_texts(group, names, zone) for group in found]
    heads = (*names, "count", "first seen", "last seen")
    natural = [max(map(cell_len, column)) for column in zip(heads, *texts, strict=True)]
    room = width - _GAP * (len(heads) - 1) - sum(natural[len(names) :])
    widths = (*_shared(natural[: len(names)], room), *natural[len(names) :])
    drawn = _ruled(zip(heads, widths, strict=True), number="count")
    for each in texts:
        drawn.add_row(*map(Text, each))
    return drawn


def _ruled(columns: Iterable[tuple[str, int]], *, number: str) -> Table:
    """Return an empty table of columns so wide, one of them a number's."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in columns:
        justify: Literal["left", "right"] = "right" if name == number else "left"
        drawn.add_column(name, no_wrap=True, justify=justify, overflow="ellipsis", width=width)
    return drawn


def _group_texts(group: Mapping[str, Any], names: Sequence[str], zone: ZoneInfo) -> tuple[str, ...]:
    values = (_shown(name, group[name], zone) for name in names)
    return (*values, f"{group['count']:,}", _time(group["first_seen"], zone), _time(group["last_seen"], zone))


def _shared(natural: Sequence[int], room: int) -> list[int]:
    """Return widths that fit into a room: the widest columns are cut first."""
    widths = list(natural)
    for done, place in enumerate(sorted(range(len(natural)), key=natural.__getitem__)):
        widths[place] = max(1, min(natural[place], room // (len(natural) - done)))
        room -= widths[place]
    return widths


def histogram(bars: Sequence[Bar], zone: ZoneInfo) -> str:
    """Return one line: when the rows happened, how long a bar is, the most rows in one; "" for fewer than two."""
    if len(bars) < 2:
        return ""
    most = max(bar.rows for bar in bars)
    # A bar that is not empty is never drawn as empty.
    drawn = "".join(_BARS[-(-bar.rows * (len(_BARS) - 1) // most)] for bar in bars)
    first, second = (datetime.fromisoformat(bar.start) for bar in bars[:2])
    seconds = int((second - first).total_seconds())
    length = next(f"{seconds // unit} {name}" for unit, name in _UNITS if seconds >= unit or unit == 1)
    start, end = (_time(bar.start, zone)[:-3] for bar in (bars[0], bars[-1]))
    return f"{start} {drawn} {end}  (a bar: {length}, at most {most:,} rows)"


def _fitting(natural: dict[str, int], width: int) -> dict[str, int]:
    """Return the columns' widths: when, which and how bad are never cut, and the detail keeps a part of the rest."""
    left = width - _GAP * (len(natural) - 1) - sum(natural[name] for name in _WHOLE)
    names = [name for name in natural if name not in (*_WHOLE, "detail")]
    wanted = sum(natural[name] for name in names)
    share = min(wanted, max(left - natural["detail"], left * 3 // 5))
    widths = {
        name: max(1, natural[name] * share // max(wanted, 1)) if name in names else natural[name] for name in natural
    }
    widths["detail"] = max(1, min(natural["detail"], left - sum(widths[name] for name in names)))
    return widths


def _texts(row: Row, zone: ZoneInfo) -> list[str]:
    about = " ".join(f"{letter}{row[name]}" for name, letter in _IDS if row[name] is not None)
    about += " *" if row.get(MATCHED_IN_CONTEXT) else ""
    names = ("severity", "module_slug", "action", "source")
    texts = [_time(row["created_at"], zone), str(row["id"]), *(str(row[name] or "") for name in names)]
    return [neutralise(text) for text in (*texts, about, str(row["ip_address"] or ""), str(row["detail"] or ""))]


def _style(row: Row) -> str:
    return _COLOURS.get(str(row["severity"]).lower(), "")


def _shown(name: str, value: Any, zone: ZoneInfo) -> str:
    if name == "created_at":
        return _time(value, zone)
    if value is None:
        return "-"
    return neutralise(value if isinstance(value, str) else dumps(value).decode())


def _laid_out(value: Any) -> list[str]:
    if value is None:
        return ["  -"]
    if isinstance(value, str):  # a context that is no JSON
        return [f"  {neutralise(line)}" for line in value.split("\n")]
    text = orjson.dumps(orjson.loads(dumps(value)), option=orjson.OPT_INDENT_2).decode()
    return [f"  {neutralise(line)}" for line in text.split("\n")]


def _time(text: str | None, zone: ZoneInfo) -> str:
    if text is None:
        return "undated"
    return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S}"
