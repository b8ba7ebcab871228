"""Clean texts: looked into once, never wrongly, in flat memory; and the short way they open hides no secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from agent.mapping.catalogue import Catalogue
from agent.mapping.clean_texts import LONGEST, MOST, CleanTexts
from agent.mapping.document import DocumentBuilder
from agent.mapping.redaction import Redaction
from agent.row import RowShape

SHAPE = RowShape(("id", "created_at", "detail", "context"), ("note",))
TOKEN = "ghp_" + "a" * 36
INDEXED_AT = "2026-11-23T22:00:00.000Z"


@pytest.fixture
def build() -> Callable[..., dict[str, Any]]:
    redaction = Redaction()
    catalogue = Catalogue(sensitive=redaction.key_rule)
    builder = DocumentBuilder(
        instance="whmcs", shape=SHAPE, period="month", zone="UTC", catalogue=catalogue, redaction=redaction, version="1"
    )

    def built(context: object, detail: str | None = None, note: str | None = None) -> dict[str, Any]:
        row = (7, "2026-11-23 21:00:00", detail, orjson.dumps(context).decode(), note, 99)
        return builder.build(row, INDEXED_AT).source

    return built


def test_a_text_is_asked_about_once() -> None:
    asked: list[str] = []
    clean = CleanTexts(lambda text: bool(asked.append(text)))
    assert all(text in clean or clean.vouches(text) for text in ("node-7", "node-7", "node-8"))
    assert asked == ["node-7", "node-8"]


def test_a_suspect_is_never_remembered() -> None:
    clean = CleanTexts(lambda text: "=" in text)
    assert not clean.vouches("a=b")
    assert not clean.vouches("a=b")
    assert "a=b" not in clean
    assert clean.vouches("a")


def test_only_short_texts_and_only_so_many_are_held() -> None:
    clean = CleanTexts(lambda _: False)
    clean.vouches("x" * (LONGEST + 1))
    assert not clean
    clean.vouches("x" * LONGEST)
    assert len(clean) == 1
    for number in range(MOST + 1):
        clean.vouches(str(number))
    assert len(clean) <= MOST


@pytest.mark.parametrize("place", ["detail", "value", "list", "below", "note", "key"])
def test_a_secret_where_a_thousand_rows_had_none_is_found(place: str, build: Callable[..., dict[str, Any]]) -> None:
    plain = {"host": "node-7", "tags": ["a"], "server": {"name": "b"}, "nothing": None}
    for _ in range(3):
        build(plain, "all is well", "fine")
    said = f"sent with {TOKEN}"
    found = build(
        {
            **plain,
            **({"host": said} if place == "value" else {}),
            **({"tags": ["a", said]} if place == "list" else {}),
            **({"server": {"name": said}} if place == "below" else {}),
            **({TOKEN: None} if place == "key" else {}),
        },
        said if place == "detail" else "all is well",
        said if place == "note" else "fine",
    )
    assert TOKEN not in orjson.dumps(found).decode()
    assert "github_token" in found["agent"]["redacted"]


def test_a_name_like_a_secret_that_a_mapping_brought_is_not_sent() -> None:
    redaction = Redaction()
    catalogue = Catalogue(sensitive=redaction.key_rule)
    catalogue.merge_mapping({"context": {"properties": {TOKEN: {"type": "keyword"}}}}, "2026.11")
    builder = DocumentBuilder(
        instance="whmcs", shape=SHAPE, period="month", zone="UTC", catalogue=catalogue, redaction=redaction, version="1"
    )
    row = (7, "2026-11-23 21:00:00", None, orjson.dumps({TOKEN: True}).decode(), None, 99)
    assert TOKEN not in builder.build(row, INDEXED_AT).body.decode()


def test_a_mark_that_pretends_to_be_a_redaction_is_looked_into(build: Callable[..., dict[str, Any]]) -> None:
    build({"token": "x"})
    assert TOKEN not in orjson.dumps(build({"token": f"[redacted:{TOKEN}]"})).decode()
