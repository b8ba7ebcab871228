"""The mapping against a real node: every case is taken as it is, and every value is found where the mapping says."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import Document, DocumentBuilder
from agent.mapping.numeric import is_number
from agent.mapping.overflow import cut, text_of
from agent.mapping.redaction import Redaction
from agent.row import RowShape
from tests.mapping_cases import Case, cases

pytestmark = [pytest.mark.integration, pytest.mark.own_accounts("no agent is asked, only the node")]

TEMPLATES = Path(__file__).parents[2] / "index_templates" / "component"
SHAPE = RowShape(("id", "created_at", "detail", "context"))
AT = "2026-11-23T22:00:00.000Z"


class Index:
    """One index with the shipped mapping, that takes documents as the agent sends them."""

    def __init__(self, url: str, name: str) -> None:
        self.url = f"{url}/{name}"
        self._version = 0
        template = json.loads((TEMPLATES / "impulse-audit-mappings.json").read_text())["template"]
        settings = json.loads((TEMPLATES / "impulse-audit-settings.json").read_text())["template"]["settings"]
        settings["index"].update(number_of_replicas=0, refresh_interval="-1")
        self._call("PUT", "", {"mappings": template["mappings"], "settings": settings})

    def send(self, catalogue: Catalogue, documents: list[Document]) -> dict[int, str]:
        """Widen the mapping, index the documents, return the reason of each one that was refused."""
        changes = catalogue.changes_since(self._version)
        if changes:
            self._call("PUT", "/_mapping", {"properties": changes})
        self._version = catalogue.version
        body = b"".join(b'{"index":{"_id":"%d"}}\n%s\n' % (document.id, document.body) for document in documents)
        answer = self._call("POST", "/_bulk?refresh=true", body)
        items = [item["index"] for item in answer["items"]]
        return {int(item["_id"]): str(item["error"]) for item in items if "error" in item}

    def found(self, queries: list[dict[str, Any]]) -> list[set[int]]:
        """Return the ids each query finds."""
        found = []
        for start in range(0, len(queries), 500):
            lines = []
            for query in queries[start : start + 500]:
                lines += ["{}", json.dumps({"query": query, "_source": False, "size": 10_000})]
            answer = self._call("POST", "/_msearch", ("\n".join(lines) + "\n").encode())
            found += [{int(hit["_id"]) for hit in part["hits"]["hits"]} for part in answer["responses"]]
        return found

    def mapping(self) -> dict[str, Any]:
        answer = self._call("GET", "/_mapping", None)
        properties: dict[str, Any] = next(iter(answer.values()))["mappings"]["properties"]
        return properties

    def drop(self) -> None:
        requests.delete(self.url, timeout=30)

    def _call(self, method: str, path: str, body: Any) -> Any:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        answer = requests.request(method, self.url + path, data=data, headers={"Content-Type": kind}, timeout=60)
        assert answer.ok, answer.text[:2000]
        return answer.json()


@pytest.fixture
def index(opensearch: str) -> Iterator[Index]:
    found = Index(opensearch, f"mapping-{random.randrange(10**9)}")
    yield found
    found.drop()


def builder(**settings: Any) -> DocumentBuilder:
    redaction = Redaction()
    return DocumentBuilder(
        instance="i", shape=SHAPE, period="month", zone="UTC", version="1", redaction=redaction,
        catalogue=Catalogue(sensitive=redaction.key_rule, **settings),
    )  # fmt: skip


def row(number: int, context: Any, detail: str | None = None) -> tuple[Any, ...]:
    text = context if isinstance(context, str) or context is None else json.dumps(context)
    return (number, "2026-11-23 21:04:05", detail, text, 7)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_node_takes_the_document_of_every_case(index: Index, case: Case) -> None:
    documents, catalogue = case.build()

    assert index.send(catalogue, documents) == {}


def test_what_the_server_reports_back_is_what_the_catalogue_holds(index: Index) -> None:
    make = builder()
    contexts = [{"a": "x", "o": {"b": 42, "empty": {}}, "l": [{"z": "7"}], "t": True, "sp ace": 1, "*": 2, "\u0000": 3}]
    index.send(make.catalogue, [make.build(row(number, context), AT) for number, context in enumerate(contexts)])
    again = Catalogue()
    again.merge_mapping(index.mapping(), "2026.11")

    assert again.properties()["context"] == make.catalogue.properties()["context"]
    assert again.exceptions("2026.11") is None
    assert again.fields() == make.catalogue.fields()


def test_a_string_counts_as_a_number_exactly_where_the_server_says_so(index: Index) -> None:
    texts = [
        "42", " 42 ", "\t42\n", "42\u00a0", "4_2", "1e5", "1E+5", "1e400", "1.", "  .5", ".", "+", "-5", "+5", "--5",
        "0x1p3", "0x1.8p1", "0x10", "1d", "1f", "1.5D", "NaN", "Infinity", "inf", "", "  ", "٤٢", "1,5", "1e", "0x1p9999",
        "1e-400", "1f2", "12 3", "\x0042", "1L", "00042", "１", "true", "0x1p3d", "1e5f", "9" * 400,
    ]  # fmt: skip
    make = builder()
    index.send(make.catalogue, [make.build(row(0, {"n": 1}), AT)])
    documents = [make.build(row(number, {"n": text}), AT) for number, text in enumerate(texts, 1)]

    assert index.send(make.catalogue, documents) == {}
    taken = index.found([{"range": {"context.n.number": {"gte": -1.7e308}}}])[0]
    assert [text for number, text in enumerate(texts, 1) if number in taken] == [t for t in texts if is_number(t)]


def test_a_range_is_exact_from_the_first_number_also_after_strings(index: Index) -> None:
    make = builder()
    refused = [
        index.send(make.catalogue, [make.build(row(number, {"ms": value}), AT)])
        for number, value in enumerate(["soon", "later", "42", 41.5, [43, "x"], True, 44])
    ]

    assert refused == [{}] * 7
    assert index.found([{"range": {"context.ms.number": {"gte": 42, "lte": 43}}}]) == [{2, 4}]


@pytest.mark.parametrize("length", [1024, 1025, 8191, 8192, 32_765, 32_766, 32_767, 32_768, 1_000_000])
@pytest.mark.parametrize("unit", ["x", "é", "😀"])
def test_a_long_value_is_taken_mapped_or_not(index: Index, length: int, unit: str) -> None:
    text = (unit * length)[: max(1, length // len(unit.encode()))] + " needle"
    make = builder(max_fields=1)
    documents = [make.build(row(1, {"mapped": text}), AT), make.build(row(2, {"over": {"flow": text}}), AT)]

    assert index.send(make.catalogue, documents) == {}
    if len(text.encode()) <= 1_000_000:
        assert index.found([{"match": {"context_text": "needle"}}]) == [{1, 2}]


@pytest.mark.parametrize("depth", [1, 9, 10, 11, 18, 19, 25, 60, 99, 500])
def test_a_deep_value_is_taken_and_found(index: Index, depth: int) -> None:
    make, deepest = builder(), builder(max_depth=100)
    value: Any = "needle"
    for _ in range(depth - 1):
        value = {"d": value}
    path = ".".join("d" * depth)
    for builds in (make, deepest):
        assert index.send(builds.catalogue, [builds.build(row(1, {"d": value}), AT)]) == {}
        index._version = 0
    assert index.send(make.catalogue, [make.build(row(1, {"d": value}), AT)]) == {}
    root = "context" if depth <= 10 else "context_overflow"

    assert {1} in index.found([{"term": {f"{root}.{path}": "needle"}}, {"match": {"context_text": "needle"}}])


KEYS = ["a", "b", "c", "a.b", "b.c", "", ".", ".x", "x.", "a..b", " ", "*", "_id", "\x00", "é", "k" * 600]
SCALARS: list[Any] = [
    "word", "two words", "42", "", " ", "\x00", "é" * 5000, "x" * 40_000, 0, -1, 2**64 - 1, 2**70, 1e300, 1.5, True, False,
    None, "NaN", "1e400", "2026-11-23", "\ud800",
]  # fmt: skip


def arbitrary(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth > 5 or kind < 0.5:
        return (
            rng.choice(SCALARS) if rng.random() < 0.8 else "".join(rng.choices(string.printable, k=rng.randrange(20)))
        )
    if kind < 0.7:
        return [arbitrary(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {
        rng.choice(KEYS) if rng.random() < 0.8 else "".join(rng.choices(string.printable, k=4)): arbitrary(
            rng, depth + 1
        )
        for _ in range(rng.randrange(5))
    }


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif value is not None:
        yield path[1:], value


@pytest.mark.parametrize("seed", range(3))
def test_arbitrary_contexts_are_all_taken_and_each_value_is_found(index: Index, seed: int) -> None:
    rng = random.Random(seed)
    make = builder(max_fields=40, max_depth=4)
    queries: list[dict[str, Any]] = []
    expected: list[int] = []
    number = 0
    for _ in range(10):
        documents = []
        for _ in range(100):
            number += 1
            documents.append(make.build(row(number, arbitrary(rng)), AT))
        assert index.send(make.catalogue, documents) == {}
        for document in rng.sample(documents, 50):
            for query in _queries(json.loads(document.body)):
                queries.append(query)
                expected.append(document.id)

    missing = [
        (query, wanted)
        for query, wanted, got in zip(queries, expected, index.found(queries), strict=True)
        if wanted not in got
    ]
    assert missing == []
    assert len(queries) > 200


def _queries(source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, item in leaves(source.get("context", {})):
        text = text_of(item)
        if len(text) <= 1024:
            yield {"term": {f"context.{path}": text}}
        else:
            yield {"match": {"context_text": text[:255]}}
    for path, item in leaves(source.get("context_overflow", {})):
        assert cut(item, 8_000) == item
        if path and path.strip(". ") == path and len(path) < 500 and ".." not in path:
            yield {"term": {f"context_overflow.{path}": item}}


def test_a_thousand_rows_of_new_keys_stay_within_the_budget(index: Index) -> None:
    make = builder(max_fields=500)
    documents = [
        make.build(row(number, {f"k{number}": number, f"o{number}": {"x": "y"}}), AT) for number in range(1000)
    ]

    assert index.send(make.catalogue, documents) == {}
    assert index.found([{"term": {"context_overflow.k999": "999"}}, {"term": {"context.k0": 0}}]) == [{999}, {0}]
    assert make.catalogue.paths == 500
