"""Shapes of contexts that break naive shippers, from the table to the node: sizes, depths, conflicts, text that is no JSON."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from demo.table import Kind
from tests.conftest import GIVEN_URL
from tests.integration.context_agent import AT, NOVEMBER, Agent, Query
from tests.world import Database, World

pytestmark = pytest.mark.integration

OCTOBER_AT, OCTOBER = "2026-10-02 03:04:05", "2026.10"


SERVERS = ["mariadb", pytest.param("mysql9", marks=pytest.mark.slow), *(["given"] if GIVEN_URL else [])]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    """Give the URL of each server."""
    if request.param == "given":
        return str(GIVEN_URL)
    had = request.getfixturevalue(request.param)
    return str(getattr(had, "url", had))


@pytest.fixture(scope="module")
def worlds(opensearch: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Kind], World]]:
    """Make worlds that the tests of this file share: each test has keys of its own."""
    made: list[World] = []

    def make(server: str, kind: Kind) -> World:
        database = Database(server)
        database.create_table(kind)
        made.append(World(folder=tmp_path_factory.mktemp("world"), database=database, opensearch_url=opensearch))
        made[-1].write({"context.max_fields": 4000})
        return made[-1]

    yield make
    for world in made:
        world.remove()
        world.database.drop()


@pytest.fixture(scope="module")
def text_agent(server: str, worlds: Callable[[str, Kind], World]) -> Agent:
    """Give a shipper on a text column, which takes what is no JSON."""
    return Agent(worlds(server, Kind.TIMESTAMP))


@pytest.fixture(scope="module")
def json_agent(server: str, worlds: Callable[[str, Kind], World]) -> Agent:
    """Give a shipper on a JSON column."""
    return Agent(worlds(server, Kind.JSON))


@pytest.fixture(params=["text", "json"])
def agent(request: pytest.FixtureRequest, text_agent: Agent, json_agent: Agent) -> Agent:
    """Give both."""
    return text_agent if request.param == "text" else json_agent


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """Give a key no other test uses."""
    return re.sub(r"\W", "_", request.node.name)[-60:]


def taken(agent: Agent, values: list[Any], at: str = AT) -> list[int]:
    return agent.take([json.dumps(value, ensure_ascii=False) for value in values], at)


# -- numbers -------------------------------------------------------------------------------------------------------


def between(key: str, low: float, high: float) -> Query:
    return {"range": {f"context.{key}.number": {"gte": low, "lte": high}}}


def test_a_range_is_exact_from_the_first_number_in_every_partition(agent: Agent, key: str) -> None:
    values = ["soon", "", "42", 41.5, [43, "x"], True, "43.6", None, " 42.0 ", 44, "4_2", 43.5, "x43", [7, [42]], -42]
    expected: dict[str, set[int]] = {OCTOBER: set(), NOVEMBER: set()}
    for value in values:
        for at, partition in ((OCTOBER_AT, OCTOBER), (AT, NOVEMBER)):
            (row_id,) = taken(agent, [{key: value}], at)
            if value in ("42", [43, "x"], " 42.0 ", 43.5, [7, [42]]):
                expected[partition].add(row_id)

    for partition, ids in expected.items():
        assert agent.ids(between(key, 42, 43.5), partition) == ids


POOL = [
    "x",
    "12",
    "1e1",
    "",
    True,
    None,
    3,
    11,
    12.5,
    "0x",
    "13.0",
    ["9", 11],
    {"deep": 12},
    "12 ms",
    -12,
    10**19,
    "+11",
]


def test_a_range_is_exact_whatever_came_before_in_which_batch_and_partition(text_agent: Agent, key: str) -> None:
    rng = random.Random(5)
    expected: set[tuple[int, int]] = set()
    agent = text_agent
    for step in range(24):
        pairs = [(rng.randrange(12), rng.choice(POOL)) for _ in range(rng.randrange(1, 12))]
        ids = taken(agent, [{f"{key}{place}": value} for place, value in pairs], rng.choice((OCTOBER_AT, AT)))
        for row_id, (place, value) in zip(ids, pairs, strict=True):
            if any(10 <= item <= 13 for item in _numbers(value)):
                expected.add((place, row_id))
        if step % 8 == 7:
            agent = agent.again()
    text_agent.frontier, text_agent._last_id = agent.frontier, agent._last_id

    found = {(place, row_id) for place in range(12) for row_id in agent.ids(between(f"{key}{place}", 10, 13))}
    assert expected and found == expected


def _numbers(value: Any) -> list[float]:
    """Return what counts as a number; what lies in an object at this path is not on it."""
    numbers = []
    for item in value if isinstance(value, list) else [value]:
        with contextlib.suppress(ValueError):
            if isinstance(item, int | float | str) and not isinstance(item, bool):
                numbers.append(float(item))
    return numbers


# -- sizes and depths ------------------------------------------------------------------------------------------------


def documents(agent: Agent, ids: list[int]) -> list[dict[str, Any]]:
    """Return the documents of rows in the order of `ids`."""
    found = {document["id"]: document for document in agent.world.documents({"terms": {"id": ids}})}
    return [found[row_id] for row_id in ids]


def test_leaves_of_every_size_are_whole_and_found_by_their_last_word(agent: Agent, key: str) -> None:
    sizes = (1023, 1024, 1025, 8191, 8192, 32_765, 32_766, 32_767, 32_768, 1_000_000)
    texts = [_sized(unit, size) for size in sizes for unit in ("x", "é", "\U0001f680", "word ")]
    texts += ["x" * (8000 - back) + "é\U0001f680é" + " tail" for back in range(5)]
    mapped = taken(agent, [{key: text} for text in texts])
    over = taken(agent, [{key: {"o": {"v": text}}} for text in texts])

    assert [document["context"] for document in documents(agent, mapped)] == [{key: text} for text in texts]
    overflowed = documents(agent, over)
    shown = [text.encode()[:8000].decode("utf-8", "ignore") for text in texts]
    assert [document["context_overflow"][key]["o"]["v"] for document in overflowed] == shown
    assert [document["context_text"] for document in overflowed] == [[text] for text in texts]
    assert all(agent.finds([(row_id, {"match": {"context_text": "tail"}}) for row_id in (*mapped, *over)]))
    term = f"context_overflow.{key}.o.v"
    assert all(agent.finds([(row_id, {"term": {term: text}}) for row_id, text in zip(over, shown, strict=True)]))


def _sized(unit: str, size: int) -> str:
    """Return a text of exactly so many bytes that ends in a word of its own."""
    body = (unit * (size // len(unit.encode()))).encode()[: size - 5].decode("utf-8", "ignore")
    return body + " " * (size - 5 - len(body.encode())) + " tail"


def test_a_context_above_the_limit_keeps_its_leading_part_and_says_so(agent: Agent, key: str) -> None:
    limit = agent.app.configuration.settings.context.max_bytes
    filler = [
        (limit - 100) * "x",
        (limit - len(key) - 8) * "x",
        (limit - len(key) - 7) * "x",
        "é" * limit,
        "ipsum " * limit,
    ]
    texts = [f'{{"{key}": "lorem {filling}"}}' for filling in filler]
    ids = agent.take(texts)

    found = documents(agent, ids)
    sizes = [len(str(row[0]).encode()) for row in (_stored(agent, row_id) for row_id in ids)]
    assert [bool(document["agent"].get("truncated")) for document in found] == [size > limit for size in sizes]
    assert {False, True} == {size > limit for size in sizes}
    assert all(agent.finds([(row_id, {"match": {"context_text": "lorem"}}) for row_id in ids]))
    for document in found:
        assert ("context" in document) == ("truncated" not in document["agent"])
        assert sum(len(text.encode()) for text in document.get("context_text", ())) <= limit


def _stored(agent: Agent, row_id: int) -> tuple[Any, ...]:
    sql = f"SELECT context FROM {agent.app.table.quoted_name} WHERE id = %s"
    return agent.world.database.execute(sql, (row_id,))[0]


def test_a_value_is_found_at_any_depth(agent: Agent, key: str) -> None:
    asked = []
    for depth in (1, 9, 10, 11, 18, 19, 25, 30):
        value: Any = "needle"
        for _ in range(depth - 1):
            value = {"d": value}
        (row_id,) = taken(agent, [{f"{key}{depth}": value}])
        path = ".".join((f"{key}{depth}", *"d" * (depth - 1)))
        root = "context" if depth <= 10 else "context_overflow"
        asked += [(row_id, {"term": {f"{root}.{path}": "needle"}}), (row_id, {"match": {"context_text": "needle"}})]

    assert agent.finds(asked) == [True] * len(asked)


def test_what_is_nested_beyond_reason_stays_text(text_agent: Agent) -> None:
    ids = text_agent.take(['{"d":' * depth + '"needle"' + "}" * depth for depth in (101, 1000, 20_000)])
    ids += text_agent.take(["[" * depth + '"needle"' + "]" * depth for depth in (101, 1000, 20_000)])

    queries = ({"match": {"context_text": "needle"}}, {"exists": {"field": "agent.context_error"}})
    assert all(text_agent.finds([(row_id, query) for row_id in ids for query in queries]))


# -- conflicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_leaf_first", [True, False], ids=["leaf first", "object first"])
@pytest.mark.parametrize(
    "way", ["one step", "two steps", "two partitions", "a restart", "a restart and two partitions"]
)
def test_a_path_may_be_a_leaf_and_an_object(text_agent: Agent, key: str, way: str, is_leaf_first: bool) -> None:
    agent = text_agent
    leaf, branch = {key: 1}, {key: {"b": "below"}}
    first, second = (leaf, branch) if is_leaf_first else (branch, leaf)
    if way == "one step":
        ids = taken(agent, [first, second])
    else:
        ids = taken(agent, [first])
        agent = agent.again() if "restart" in way else agent
        ids += taken(agent, [second], OCTOBER_AT if "partition" in way else AT)
    text_agent.frontier, text_agent._last_id = agent.frontier, agent._last_id
    leaf_id, branch_id = ids if is_leaf_first else ids[::-1]
    leaf_root, branch_root = ("context", "context_overflow") if is_leaf_first else ("context_overflow", "context")

    assert agent.ids({"term": {f"{leaf_root}.{key}": "1"}}) == {leaf_id}
    assert agent.ids({"term": {f"{branch_root}.{key}.b": "below"}}) == {branch_id}
    assert agent.finds([(branch_id, {"match": {"context_text": "below"}})]) == [True]
    over = [document["agent"].get("overflow") for document in documents(agent, ids)]
    assert over == [None, [f"{key}.b" if is_leaf_first else key]]


def test_leaf_and_object_in_one_array_keep_their_row_and_its_neighbours(agent: Agent, key: str) -> None:
    values = [{key: [1, {"b": "mixed"}]}, {key: 2}, {key: [{"b": "clean"}]}, {key: [[{"b": "nested"}], 3]}]
    ids = taken(agent, values)

    words = [("mixed", 0), ("clean", 2), ("nested", 3)]
    assert all(agent.finds([(ids[place], {"match": {"context_text": word}}) for word, place in words]))
    assert agent.ids({"term": {f"context.{key}": "2"}}) == {ids[1]}


# -- what is no object ---------------------------------------------------------------------------------------------------


def test_what_means_no_context_leaves_none(agent: Agent) -> None:
    ids = agent.take([None, "[]", '""', "null", "{}"])

    for document in documents(agent, ids):
        assert document.get("context") in (None, {})
        assert not {"context_text", "context_overflow"} & set(document)
        assert not {"context_error", "overflow", "truncated"} & set(document["agent"])


def test_scalars_and_arrays_are_found_as_value(agent: Agent) -> None:
    ids = taken(agent, [42, "timed out", True, [1, 2, "three"], 4.5, [{"x": "inside"}]])

    queries = [
        between("value", 42, 42),
        {"match": {"context.value.text": "timed"}},
        {"term": {"context.value": True}},
        {"term": {"context.value": "three"}},
        between("value", 4.1, 4.9),
        {"match": {"context_text": "inside"}},
    ]
    assert [agent.ids(query) for query in queries] == [{row_id} for row_id in ids]


def test_json_within_json_is_searched_like_json(agent: Agent, key: str) -> None:
    once, twice = json.dumps({key: {"id": 42}}), json.dumps(json.dumps({key: {"id": 43}}))
    ids = agent.take([once, json.dumps(once), json.dumps(twice), json.dumps("[]"), json.dumps("{broken")])

    assert agent.ids({"term": {f"context.{key}.id": 42}}) == set(ids[:2])
    assert agent.ids(between(f"{key}.id", 43, 43)) == {ids[2]}
    assert "context" not in documents(agent, ids)[3]
    assert agent.finds([(ids[4], {"match": {"context_text": "broken"}})]) == [True]


def test_text_that_is_no_json_is_kept_verbatim_flagged_and_found(text_agent: Agent) -> None:
    texts = {
        '{"a": 1': "a",
        '{"message": "cURL error 28: timed out': "timed",
        "plain words": "words",
        "{'php': 'array'}": "array",
        '{"a":1}{"b":2}': "b",
        "a\x00b zero": "zero",
        '{"a": undefined}': "undefined",
        "\ufeff{broken": "broken",
        's:5:"hello";': "hello",
        '{"a": "\\u12"}': "u12",
        "<xml>tail</xml>": "tail",
        '{"a": 1,}': "1",
        "[1, 2": "2",
    }
    ids = text_agent.take(texts)

    found = documents(text_agent, ids)
    assert [document["context_text"] for document in found] == [[text] for text in texts]
    assert all(document["agent"]["context_error"] and "context" not in document for document in found)
    queries = [(row_id, {"match": {"context_text": word}}) for row_id, word in zip(ids, texts.values(), strict=True)]
    assert text_agent.finds(queries) == [True] * len(texts)


def test_numbers_json_allows_and_databases_do_not_are_kept(text_agent: Agent, key: str) -> None:
    numbers = ["1e400", "-1e400", "NaN", "Infinity", "9" * 5000, str(2**70), "1E+2", "-0"]
    ids = text_agent.take([f'{{"{key}": {number}}}' for number in numbers])

    path = f"context.{key}"
    assert text_agent.ids(between(key, 100, 100)) == {ids[6]}
    for place in (0, 1, 2, 3, 5):
        assert text_agent.ids({"term": {path: numbers[place]}}) == {ids[place]}
    assert text_agent.finds([(ids[4], {"match": {"context_text": "9" * 5000}})]) == [True]


def test_of_keys_that_are_the_same_the_last_counts(text_agent: Agent, key: str) -> None:
    ids = text_agent.take(
        [
            f'{{"{key}": "first", "{key}": "last"}}',
            f'{{"{key}2.b": 1, "{key}2": {{"b": 2}}}}',
            f'{{"{key}2": {{"b": "x"}}, "{key}2.b": {{"c": "y"}}}}',
        ]
    )

    assert text_agent.ids({"term": {f"context.{key}": "last"}}) == {ids[0]}
    assert text_agent.ids({"term": {f"context.{key}": "first"}}) == set()
    assert [text_agent.ids({"term": {f"context.{key}2.b": value}}) for value in ("1", "2", "x")] == [
        {ids[1]},
        {ids[1]},
        {ids[2]},
    ]
    assert text_agent.ids({"term": {f"context_overflow.{key}2.b.c": "y"}}) == {ids[2]}
