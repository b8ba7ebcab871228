"""Any JSON becomes a searchable document: hypothesis thinks the contexts up, the table holds them, the node is asked.

Each batch is one step. In it no row is lost, none becomes a dead letter, and each of its scalars is found again as
`context_agent.Finding` says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.context_agent import Agent, Query, finding, parsed, scalars
from tests.world import World

pytestmark = pytest.mark.integration

KEYS = (
    "a", "b", "c", "d", "a.b", "b.c", "a.b.c", "", ".", ".x", "x.", "a..b", " ", "*", "_id", "\x00", "é", "e\u0301",
    "text", "number", "a.text", "b.number", "type", "properties", "fields", "_source", "__proto__", "context",
    "k" * 600, "k" * 1200, "k" * 32_768,
)  # fmt: skip
WORDS = (
    "timed out", "42", " 42 ", "-1", "1e5", "1e400", "0x1p3", "NaN", "true", "null", "", " ", "\x00", "\ud800", "\udc00\ud800x",
    "2026-11-23", "2026-11-23T21:04:05Z", "198.51.100.7", "0x1f", "٤٢", "1_000", "Infinity", "[redacted:", "\U0001f680", "-" * 2000,
)  # fmt: skip
any_text = st.text(st.characters(exclude_categories=()), max_size=30)
long_text = st.builds(
    lambda unit, length: unit * (length // len(unit)),
    st.sampled_from(("x", "é", "\U0001f680", "lorem ipsum ", "1", '\n"x\\')),
    st.sampled_from((1024, 1025, 2048, 8191, 8192, 32_765, 32_766, 32_767, 32_768, 70_000)),
)
megabytes = st.sampled_from(("x" * 1_000_000, "lorem ipsum " * 83_333, "1" * 1_000_000))
numbers = st.one_of(
    st.integers(-5, 5), st.integers(), st.integers(0, 330).map(lambda digits: 10**digits), st.floats(),
    st.sampled_from((2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 2**70, -0.0, 5e-324)),
)  # fmt: skip
scalar = st.one_of(
    st.none(), st.booleans(), numbers, st.sampled_from(WORDS), any_text, any_text, st.one_of(any_text, long_text),
    st.integers(0, 60).flatmap(lambda number: megabytes if number == 37 else any_text),
)  # fmt: skip
keys = st.one_of(*[st.sampled_from(KEYS[:7])] * 3, st.sampled_from(KEYS), any_text)
nested = st.recursive(
    scalar,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4), st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def _deep(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = {"d": value}
    return value


contexts = st.one_of(
    st.dictionaries(keys, nested, max_size=5),
    st.dictionaries(keys, nested, max_size=5),
    st.dictionaries(keys, nested, max_size=5),
    nested.filter(lambda value: not isinstance(value, str) or value.strip()[:1] not in ("{", "[", '"')),
    st.builds(_deep, nested, st.integers(1, 30)),
)


class Batch(list[Any]):
    """Contexts of one step, too long to be shown."""

    def __repr__(self) -> str:
        return f"{len(self)} contexts"


batches = st.lists(contexts, min_size=20, max_size=60).map(Batch)


class Judge:
    """Ship batches and ask for each scalar of each row."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.seen: Counter[str] = Counter()
        self.missed: list[str] = []

    def take(self, batch: list[Any]) -> None:
        """Ship one batch in one step; every row and every scalar of it must be found."""
        texts = [json.dumps(value, ensure_ascii=odd or _is_broken(value)) for odd, value in _alternating(batch)]
        ids = self.agent.take(texts)
        notes = self._notes(ids[0])
        assert sorted(notes) == ids
        leaves = self.agent.leaves()
        asked = [
            (row_id, path, value, ways)
            for row_id, text in zip(ids, texts, strict=True)
            for path, value, ways in self._questions(text, notes[row_id], leaves)
        ]
        missed = self._missed([(row_id, ways) for row_id, _, _, ways in asked])
        self.missed += [f"row {asked[number][0]}: {asked[number][1:]!r}"[:500] for number in sorted(missed)]
        self.seen["rows"] += len(ids)
        self.seen["scalars"] += len(asked)

    def _notes(self, first: int) -> dict[int, dict[str, Any]]:
        self.agent.world.refresh()
        body = {"query": {"range": {"id": {"gte": first}}}, "size": 10_000, "_source": ["id", "agent"]}
        hits = self.agent.world.request("POST", f"/{self.agent.app.names.read}/_search", body)["hits"]["hits"]
        return {hit["_source"]["id"]: hit["_source"]["agent"] for hit in hits}

    def _questions(self, text: str, note: dict[str, Any], leaves: set[str]) -> Iterator[tuple[str, Any, list[Ways]]]:
        """Yield each scalar of a row with the ways to find it: one of them must, with all its queries."""
        if "rejected" in note.get("overflow_reason", ()):
            self.seen["refused by the node"] += 1
        if "redacted" in note:
            self.seen["redacted"] += 1
            return
        if "truncated" in note:
            self.seen["beyond the size limit"] += 1  # escapes make a megabyte of a few long values
            return
        value = parsed(text)
        assert "context_error" not in note, text[:500]
        if value in ("", []):
            return  # what PHP writes for «no context»
        for keys_above, item in scalars(value if isinstance(value, dict) else {"value": value}):
            found = finding(keys_above, item)
            if found.wordless:
                self.seen["wordless"] += 1
                continue
            is_over = found.path[:512] in note.get("overflow", ()) or "overflow_more" in note
            self.seen["overflowed" if is_over else "mapped"] += 1
            assert is_over or found.path in leaves, (found.path, text[:500])
            # What is no leaf may bear the name of a leaf's sub-field, which takes numbers only.
            ways = [found.mapped] if found.path in leaves else []
            yield found.path, item, [*ways, *([query] for query in found.overflowed)] if is_over else ways

    def _missed(self, asked: list[tuple[int, list[Ways]]]) -> set[int]:
        queries = [(row_id, query) for row_id, ways in asked for way in ways for query in way]
        answers = iter(self.agent.finds(queries, refresh=False))
        return {
            number
            for number, (_, ways) in enumerate(asked)
            if not any([all([next(answers) for _ in way]) for way in ways])  # noqa: C419  each answer must be taken
        }


Ways = Sequence[Query]


def _alternating(batch: list[Any]) -> Iterator[tuple[bool, Any]]:
    return ((number % 2 == 0, value) for number, value in enumerate(batch))


def _is_broken(value: Any) -> bool:
    """Return whether a value holds half a character, which the table takes as an escape only."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def run(world: World, examples: int, **options: Any) -> Judge:
    world.write({"context.max_fields": 200})
    judge = Judge(Agent(world))

    @settings(
        max_examples=examples, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck), **options,
    )  # fmt: skip
    @given(batches)
    def ship(batch: Batch) -> None:
        judge.take(batch)

    ship()
    assert judge.missed == []
    assert judge.seen["refused by the node"] == 0, "the ladder is for other people's mappings, not for contexts"
    assert judge.seen["redacted"] + judge.seen["wordless"] < judge.seen["scalars"] / 50
    # Both kinds were asked about: which keys come early, and so are mapped, is chance.
    assert min(judge.seen["mapped"], judge.seen["overflowed"]) > judge.seen["scalars"] / 50
    assert judge.agent.app.catalogue.paths == 200
    assert judge.agent.app.dead_letters.count() == 0
    return judge


def test_every_scalar_of_arbitrary_json_is_found_again(world: World) -> None:
    assert run(world, 32, derandomize=True).seen["rows"] >= 600


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_scalar_of_five_thousand_arbitrary_contexts_is_found_again(world: World) -> None:
    assert run(world, 260).seen["rows"] >= 5000
