"""Whatever JSON comes in whatever order: nothing raises, nothing is lost, nothing conflicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.mapping.catalogue import Catalogue
from agent.mapping.document import DocumentBuilder
from agent.mapping.ladder import Rung
from agent.mapping.overflow import VALUE_BYTES, cut, text_of
from agent.mapping.redaction import Redaction
from agent.row import RowShape

SHAPE = RowShape(("id", "created_at", "detail", "context"))
AT = "2026-11-23T22:00:00.000Z"

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["42", "1e5", "0x1p3", "NaN", "x" * 9000, "é" * 5000])
)
keys = st.sampled_from(["a", "b", "c", "a.b", "", ".", "x.", "..", " ", "\x00"]) | st.text(max_size=6)
contexts = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=25
)


def builder(**settings: Any) -> DocumentBuilder:
    return DocumentBuilder(
        instance="i", shape=SHAPE, period="month", zone="UTC", version="1",
        catalogue=Catalogue(**settings), redaction=Redaction(),
    )  # fmt: skip


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, path)
    elif value is not None:
        yield ".".join(path), value


def shapes(properties: dict[str, Any], above: str = "") -> Iterator[tuple[str, bool]]:
    for key, mapping in properties.items():
        yield above + key, "properties" in mapping
        yield from shapes(mapping.get("properties", {}), f"{above}{key}.")


@settings(max_examples=300, deadline=None)
@given(st.lists(contexts, min_size=1, max_size=6))
def test_each_scalar_ends_in_the_context_or_in_the_overflow(batch: list[Any]) -> None:
    make = builder(max_fields=6, max_depth=3)
    for context in batch:
        value = context if isinstance(context, dict) else {"value": context}
        expected = sorted((path, repr(text_of(item))) for path, item in leaves(value))
        document = make.build((1, "2026-11-23 21:04:05", None, json.dumps(context), 7), AT)
        if document.redactions or isinstance(context, str) or context in (None, [], ""):
            continue
        source = json.loads(document.body)
        mapped = [(path, repr(text_of(item))) for path, item in leaves(source.get("context", {}))]
        texts = list(source.get("context_text", ()))
        spilt = list(leaves(source.get("context_overflow", {})))

        for path, item in spilt:
            full = next(text for text in texts if cut(text, VALUE_BYTES) == item)
            mapped.append((path, repr(full)))

        assert sorted(mapped) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(contexts, min_size=1, max_size=8))
def test_the_catalogue_never_conflicts_with_itself_nor_grows_beyond_its_budget(batch: list[Any]) -> None:
    make = builder(max_fields=5, max_depth=3)
    known: dict[str, bool] = {}
    version = 0
    merged: dict[str, Any] = {}
    for context in batch:
        make.build((1, "2026-11-23 21:04:05", None, json.dumps(context), 7), AT)
        changes = make.catalogue.changes_since(version)
        version = make.catalogue.version
        _merge(merged, changes)
        found = dict(shapes(merged.get("context", {}).get("properties", {})))
        assert {path: found[path] for path in known} == known
        known = found
        assert len(found) == make.catalogue.paths <= 5
        assert all(path.count(".") < 3 for path in found)
    assert merged == make.catalogue.properties()


@settings(max_examples=100, deadline=None)
@given(st.lists(contexts, min_size=1, max_size=5), st.sampled_from(list(Rung)))
def test_the_same_rows_give_the_same_bytes(batch: list[Any], rung: Rung) -> None:
    first, second = builder(max_fields=6), builder(max_fields=6)
    rows = [(number, "2026-11-23 21:04:05", None, json.dumps(context), 7) for number, context in enumerate(batch)]

    assert [first.build(row, AT, rung).body for row in rows] == [second.build(row, AT, rung).body for row in rows]


telling = st.dictionaries(
    st.sampled_from(["password", "a", "token_count", "token=x", "b"]),
    scalars | st.sampled_from(["password=hunter22", "postgres://u:geheim77@h/d", "fine", 2**70, ["pwd: s3cret99"]]),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(telling | contexts, min_size=1, max_size=6), st.sampled_from([0, 3, 500]))
def test_what_was_parsed_and_redacted_already_makes_the_same_document_as_beginning_anew(
    batch: list[Any], max_fields: int
) -> None:
    first, anew = (builder(max_fields=max_fields, sensitive=Redaction().key_rule) for _ in range(2))
    anew._fill = lambda *_: None  # type: ignore[method-assign]  # every row is a draft, from its text on
    for number, context in enumerate(batch):
        row = (number, "2026-11-23 21:04:05", None, json.dumps(context), 7)
        assert first.build(row, AT) == anew.build(row, AT)
    assert first.catalogue.properties() == anew.catalogue.properties()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.sampled_from(["{" * 3000, "[" * 3000 + "]" * 3000, '{"a":' * 900 + "1" + "}" * 900]))
def test_any_text_at_all_becomes_a_document(text: str) -> None:
    for rung in Rung:
        source = json.loads(builder().build((1, None, text, text, 7), AT, rung).body)

        assert source["id"] == 1


@given(contexts)
def test_a_context_that_fits_is_sent_as_it_came(context: Any) -> None:
    make = builder()
    row = (1, "2026-11-23 21:04:05", None, json.dumps({"k": context}), 7)
    first = make.build(row, AT)
    version = make.catalogue.version

    assert make.build(row, AT).body == first.body
    assert make.catalogue.version == version


def test_a_term_of_the_overflow_stays_within_the_limit_of_lucene() -> None:
    context: Any = "é" * 20_000
    for level in range(40):
        context = {("k" * 5_000) + str(level): context}
    source = json.loads(builder(max_depth=2).build((1, None, None, json.dumps(context), 7), AT).body)

    for path, item in leaves(source["context_overflow"]):
        assert len(f"context_overflow.{path}={item}".encode()) <= 32_766


def test_few_paths_are_listed_and_the_others_counted() -> None:
    context = json.dumps({f"k{number}": {"": number} for number in range(250)})
    agent = json.loads(builder().build((1, None, None, context, 7), AT).body)["agent"]

    assert (len(agent["overflow"]), agent["overflow_more"]) == (100, 150)


def _merge(target: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
