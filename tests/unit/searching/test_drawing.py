"""What people see is on one line a row, in their time zone, and cannot act on their terminal."""

from __future__ import annotations

import io
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console, RenderableType

from agent.searching import drawing
from agent.searching.rows import row_of, whole_context
from agent.searching.view import Bar

UTC = ZoneInfo("UTC")
EVIL = "\x1b[2J\x1b]0;owned\x07[bold]x[/bold]\u202etxt\nsecond line"


def drawn(renderable: RenderableType, *, width: int = 200, colour: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=width, markup=False, highlight=False, force_terminal=colour).print(renderable)
    return file.getvalue()


def row(**columns: Any) -> dict[str, Any]:
    return row_of({"id": 7, "created_at": "2026-11-23T21:04:05.000Z", "severity": "error", "action": "a.b", **columns})


def test_a_row_takes_one_line_in_the_zone_asked_for() -> None:
    lines = drawn(drawing.table([row(service_id=71, client_id=5)], ZoneInfo("Asia/Tokyo"), 200)).splitlines()
    assert len(lines) == 2
    assert "2026-11-24 06:04:05" in lines[1]
    assert "s71 c5" in lines[1]


def test_nothing_in_a_row_reaches_the_terminal_as_it_is() -> None:
    evil = row(detail=EVIL, module_slug=EVIL, context={EVIL: [EVIL]}, context_overflow={"x": EVIL}, ip_address=EVIL)
    raw = row(context_text=[EVIL])
    for renderable in (
        drawing.table([evil], UTC, 200),
        drawing.plain_line(evil, UTC),
        drawing.in_full(evil, UTC),
        drawing.in_full(raw, UTC),
        drawing.groups([{"action": EVIL, "count": 1, "first_seen": None, "last_seen": None}], ["action"], UTC, 200),
    ):
        text = drawn(renderable, width=2_000)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\u202e" not in text
        assert "[bold]x[/bold]" in text, "text must not be read as markup"
    assert len(drawn(drawing.table([evil], UTC, 2_000), width=2_000).splitlines()) == 2


def test_severity_has_a_colour() -> None:
    assert "\x1b[1;31merror" in drawn(drawing.table([row()], UTC, 200), colour=True)


def test_a_narrow_screen_keeps_the_detail() -> None:
    text = drawn(drawing.table([row(detail="what happened", source="cron")], UTC, 80), width=80)
    assert "2026-11-23 21:04:05" in text
    assert "what happened" in text
    assert "source" not in text


def test_an_undated_row_is_shown() -> None:
    assert "undated" in drawn(drawing.table([row(created_at=None)], UTC, 200))


@pytest.mark.parametrize("width", [80, 100])
def test_groups_with_long_names_still_show_when_they_were_seen(width: int) -> None:
    group = {"module_slug": "impulseminio-" * 9, "action": "cron.task_failed." * 9, "count": 1_234_567}
    seen = {"first_seen": "2026-11-01T01:02:03.000Z", "last_seen": "2026-11-23T21:04:05.000Z"}
    text = drawn(drawing.groups([{**group, **seen}], ["module_slug", "action"], UTC, width), width=width)
    assert len(text.splitlines()) == 2
    for part in ("1,234,567", "2026-11-01 01:02:03", "2026-11-23 21:04:05", "impulse", "cron."):
        assert part in text
    short = drawn(drawing.groups([{**group, **seen, "module_slug": "core"}], ["module_slug", "action"], UTC, width))
    assert "core" in short
    assert drawing.groups([], ["action"], UTC, width).row_count == 0


def test_the_histogram_never_hides_a_row() -> None:
    bars = [Bar(f"2026-11-{day:02}T00:00:00.000Z", rows) for day, rows in ((1, 1), (2, 0), (3, 5_000))]
    assert drawing.histogram(bars, UTC) == "2026-11-01 00:00 ▁ █ 2026-11-03 00:00  (a bar: 1 d, at most 5,000 rows)"
    assert drawing.histogram(bars[:1], UTC) == ""


def test_the_whole_context_is_put_together_again() -> None:
    split = row(context={"a": [1], "b": {"c": 1}}, context_overflow={"a": ["x"], "b": {"": "odd"}, "d": "y"})
    assert whole_context(split) == {"a": [1, "x"], "b": {"c": 1, "": "odd"}, "d": "y"}
    assert whole_context(row(context_text=["{broken"])) == "{broken"
    assert whole_context(row()) is None
