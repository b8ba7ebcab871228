"""Whatever a person types after an option is a query that JSON can hold, or one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.cli.asking import ids_of, zone_of
from agent.errors import ConfigError
from agent.observing.line import neutralise
from agent.searching.conditions import condition_of
from agent.searching.fields import Field
from agent.searching.filters import Filters, query_of
from agent.searching.groups import by_of
from agent.searching.matching import matching
from agent.searching.ranges import range_of
from agent.searching.words import text_query

NOW = datetime(2026, 11, 23, 21, 4, 5, tzinfo=UTC)
# Shells hand over everything but NUL; what is no UTF-8 comes as lone surrogates.
SIGNS = st.sampled_from("=<>!~\"'\\,.*?-+:/ 0123456789TZdhm") | st.characters(exclude_characters="\x00")
TEXT = st.text(SIGNS, max_size=30)
FIELDS = [
    Field(name="context.a", types=types, text=text, number=number, overflow="context_overflow.a")
    for types, text, number in (
        (frozenset({"keyword"}), True, True),
        (frozenset({"keyword", "long"}), False, False),
        (frozenset({"date"}), False, False),
        (frozenset[str](), False, False),
    )
]
READERS: dict[str, Callable[[str], Any]] = {
    "--context": lambda text: [matching(condition_of(f"a{text}"), field) for field in FIELDS],
    "--text": text_query,
    "--module": lambda text: query_of(Filters(names={"module_slug": [text]}), _nothing),
    "--ip": lambda text: query_of(Filters(ips=[text]), _nothing),
    "--service": lambda text: query_of(Filters(ids={"service_id": ids_of((text,), "service")}), _nothing),
    "--last": lambda text: range_of(text, None, None, now=NOW, zone=ZoneInfo("Europe/Vienna")).query(),
    "--from": lambda text: range_of(None, text, None, now=NOW, zone=ZoneInfo("Europe/Vienna")).query(),
    "--to": lambda text: range_of(None, None, text, now=NOW, zone=ZoneInfo("America/New_York")).query(),
    "--tz": lambda text: zone_of(text).key,
    "--by": lambda text: by_of(text, lambda _path: FIELDS[0], "UTC"),
}


@pytest.mark.parametrize("option", READERS)
@given(text=TEXT)
@example(text="")
@example(text="9999")
@example(text="0001-01-01")
@example(text="9999-12-31T23:59:59+00:00")
@example(text="999999999w")
@example(text="fe80::1%eth0")
@example(text="../../etc/passwd")
@example(text='="')
@example(text=">=1e999")
@example(text="=\ud800")
def test_any_text_is_a_query_or_one_clear_line(option: str, text: str) -> None:
    try:
        query = READERS[option](text)
    except ConfigError as refusal:
        # As the command line's edge prints it.
        assert len(neutralise(str(refusal)).splitlines()) == 1
        return
    json.dumps(query, allow_nan=False)


def _nothing(path: str) -> Field:
    raise AssertionError(path)
