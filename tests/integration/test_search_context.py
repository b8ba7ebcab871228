"""Context conditions on contexts as they are met: numbers as text, arrays, values too long, the overflow, native types."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from agent.errors import ConfigError
from agent.searching.fields import Fields
from tests.integration.searched import Searched, row, searched
from tests.world import Database

pytestmark = pytest.mark.integration

LONG = "retry " * 300 + "gave up: certificate expired"
CONTEXTS: tuple[object, ...] = (
    {"server_id": 42, "price": "9.90", "big": 9007199254740993, "region": "eu"},  # 1
    {"server_id": "42", "price": 9.9, "big": 9007199254740992, "region": "EU"},
    {"server_id": 42.0, "price": "9.9", "region": "us, west"},
    {"server_id": [41, "42"], "price": -1, "region": 'the "new" one'},
    {"server_id": "042", "price": None, "region": "a\\b*c?"},  # 5
    {"message": LONG, "ok": True},
    {"message": "certificate expired", "ok": "true"},
    {"message": "certificates all expired", "ok": False},
    {"before": 90, "server": {"id": 42}},  # `before` is a leaf from here on
    {"before": {"storage_mb": 90}, "server": {"id": "43"}},  # 10: below it lies the overflow
    {"before": "90", "took": "12"},
    {"took": 7, "checked_at": "2026-11-20 06:00:00"},
    {"took": "n/a", "checked_at": "2026-11-21T00:00:00Z"},
    "just a word",
    {"before": {"storage_mb": "a hundred and ninety"}},  # 15
    {"service_id": 71},
    {"service_id": "71"},
    {"service_id": [70, 71]},
    {"client_id": 71},
    {"service_id": {"id": 71}},  # 20
)


@pytest.fixture(scope="module")
def found(mariadb: str, opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searched]:
    def fill(database: Database) -> None:
        rows = [row(context=json.dumps(context)) for context in CONTEXTS]
        database.insert([*rows, row(service_id=71), row(service_id=5, context='{"service_id": 71}')])

    typed = {"types": {"took": "long", "checked_at": "date"}}
    folder = tmp_path_factory.mktemp("contexts")
    with searched(mariadb, opensearch, folder, fill, context_fields=typed) as shipped:
        yield shipped


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("server_id=42", [1, 2, 3, 4, 5]),  # a number is compared as one, however it is written
        ("server_id=042", [5]),  # text is compared as it stands
        ("context.server_id=41", [4]),
        ("server_id!=42", []),
        ("server_id!=41", [1, 2, 3, 5]),
        ("server_id>41", [1, 2, 3, 4, 5]),
        ("server_id>42", []),
        ("server_id>=42", [1, 2, 3, 4, 5]),
        ("price=9.9", [1, 2, 3]),
        ("price<0", [4]),
        ("price<=9.9", [1, 2, 3, 4]),
        ("big=9007199254740993", [1]),  # beyond 2⁵³ no rounding finds a neighbour
        ("region=eu", [1]),
        ("region~eu", [1, 2]),
        ('region="us, west"', [3]),
        ("region=us\\, west", [3]),
        ("region=eu,EU", [1, 2]),
        ('region=the "new" one', [4]),
        ("region=a\\b*c?", [5]),
        ("region~\\b*c?", [5]),
        ("region~b?c", []),
        ("region!=eu", [2, 3, 4, 5]),
        ("region=*", [1, 2, 3, 4, 5]),
        ("message=*", [6, 7, 8]),
        ("message~certificate expired", [6, 7]),
        ("message~certif", [6, 7, 8]),
        ("message=certificate expired", [7]),
        (f"message={LONG}", [6]),
        ("message!=certificate expired", [6, 8]),
        ("ok=true", [6, 7]),
        ("before=90", [9, 11]),
        ("before.storage_mb=90", [10]),
        ("before.storage_mb~HUNDRED", [15]),
        ("before.storage_mb=*", [10, 15]),
        ("server.id=42,43", [9, 10]),
        ("took>7", [11]),
        ("took=7", [12]),
        ("took=n/a", []),
        ("checked_at>=2026-11-21", [13]),
        ("checked_at=2026-11-20", [12]),
        ("value=just a word", [14]),
    ],
)
def test_a_condition_finds_every_form_of_a_value(found: Searched, condition: str, expected: list[int]) -> None:
    assert found.ids(context=(condition,)) == expected


def test_a_service_is_found_by_its_column_and_by_its_context(found: Searched) -> None:
    assert found.ids(service=("71",)) == [16, 17, 18, 21, 22]
    assert found.ids(service=("71",), column_only=True) == [21]
    assert found.ids(client=("71",)) == [19]
    answer = found.world.run("search", "--service", "71", "--json").json
    flagged = {entry["id"]: entry.get("matched_in_context", False) for entry in answer["rows"]}
    assert flagged == {16: True, 17: True, 18: True, 21: False, 22: True}


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("server_idd=42", "did you mean «server_id»"),
        ("id=42", "«server.id»"),
        ("server=42", "name one of its fields: server.id"),
        ("nothing_like_it=1", "`audit-agent fields` lists all"),
        ("before.storage_mb>5", "lies in the overflow"),
        ("region>5", "has never held a number"),
        ("took~7", "~ looks into text"),
        ("server_id>a", "compares numbers"),
        ("server_id", "write path=value"),
        ("=42", "write path=value"),
        ('region="eu', "a quote is not closed"),
        ("server_id>1,2", "takes one value"),
    ],
)
def test_a_condition_that_cannot_be_asked_is_explained(found: Searched, condition: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        found.ids(context=(condition,))
    assert told in str(refused.value)


def test_suggestions_name_fields_of_the_overflow_too(found: Searched) -> None:
    with pytest.raises(ConfigError, match=r"before\.storage_mb"):
        Fields([], found.app.search).field("before.storage_md")
