"""Single items that fail, at every position: what is the document's is kept apart, what is the cluster's is repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agent.errors import TemporaryError
from agent.opensearch.answers import translated
from agent.opensearch.bulk import Outcome, Verdict, triage
from agent.shipping.refusals import TRIES_BEFORE_SUSPICION
from tests.unit.shipping.outage import Line

MakeLine = Callable[..., Line]
ROWS = 5
MAPPING = triage(400, "mapper_parsing_exception", "failed to parse field [context.a]")
BROKEN = triage(500, "null_pointer_exception", "inside")


def item(status: int) -> Outcome:
    types = {400: "mapper_parsing_exception", 429: "rejected_execution_exception", 503: "unavailable_shards_exception"}
    return triage(status, types.get(status, "" if status < 300 else "some_exception"), "by the test")


def failing(line: Line, keys: dict[str, Outcome], times: int | None = None) -> Counter[str]:
    """Fail items by `_id`, each so many times; return how often each was tried."""
    tried: Counter[str] = Counter()

    def judge(key: str, _document: dict[str, Any]) -> Outcome | None:
        tried[key] += 1
        outcome = keys.get(key)
        taken = outcome is None or outcome.verdict is Verdict.INDEXED or (times is not None and tried[key] > times)
        return None if taken else outcome

    line.cluster.judge = judge
    return tried


@pytest.mark.parametrize("status", [200, 201, 400, 409, 429, 503, 500, 403, 404, 413, 418])
@pytest.mark.parametrize("position", range(ROWS))
def test_an_item_that_fails_three_times_is_indexed_whatever_it_was(
    make_line: MakeLine, status: int, position: int
) -> None:
    line = make_line()
    line.rows.add(ROWS)
    failing(line, {f"shop:{position + 1}": item(status)}, times=3)
    line.run_for(60, until=line.is_complete)
    assert len(line.cluster.documents()) == ROWS
    assert line.dead_letters.count() == 0
    assert line.is_complete()


@pytest.mark.parametrize("position", range(ROWS))
def test_a_rejected_row_is_a_dead_letter_and_the_others_go_on_at_once(make_line: MakeLine, position: int) -> None:
    line = make_line()
    line.rows.add(ROWS)
    tried = failing(line, {f"shop:{position + 1}": MAPPING})
    begun = line.clock.now
    line.run_for(10, until=line.is_complete)
    assert line.clock.now - begun <= 1
    assert [(kept.letter.id, kept.letter.kind) for kept in line.dead_letters.listed()] == [(position + 1, "mapping")]
    assert tried[f"shop:{position + 1}"] == 4
    assert line.is_complete()


@pytest.mark.parametrize("status", [429, 503, 403, 404, 418])
def test_an_item_the_cluster_defers_for_ever_is_never_blamed(make_line: MakeLine, status: int) -> None:
    line = make_line()
    line.rows.add(ROWS)
    failing(line, {"shop:3": item(status)})
    line.run_for(6 * 3600)
    assert line.dead_letters.count() == 0
    assert line.checkpoint.progress.watermark < 3
    assert line.reporting.health.condition.state == "degraded"
    line.cluster.judge = lambda _key, _document: None
    line.run_for(61, until=line.is_complete)
    assert line.is_complete()


def test_every_item_of_a_mixed_answer_gets_what_it_deserves(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(9)
    keys = {
        f"shop:{number}": item(status)
        for number, status in enumerate((200, 400, 409, 429, 503, 400, 201, 500), start=1)
    }
    dead = {key for key, outcome in keys.items() if outcome.verdict is Verdict.REJECTED}
    tried: Counter[str] = Counter()

    def judge(key: str, _document: dict[str, Any]) -> Outcome | None:
        tried[key] += 1
        outcome = keys.get(key)
        lasts = key in dead or tried[key] < 3
        return outcome if outcome and outcome.verdict is not Verdict.INDEXED and lasts else None

    line.cluster.judge = judge
    line.run_for(120, until=line.is_complete)
    assert line.is_complete()
    assert {f"shop:{kept.letter.id}" for kept in line.dead_letters.listed()} == dead


def test_a_row_the_server_breaks_on_becomes_a_dead_letter_and_stops_nobody(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(ROWS)
    tried = failing(line, {"shop:3": BROKEN})
    took = line.run_for(600, until=line.is_complete)
    assert line.is_complete()
    assert took < 30
    assert [(kept.letter.id, kept.letter.kind) for kept in line.dead_letters.listed()] == [(3, "server_error")]
    assert tried["shop:3"] == TRIES_BEFORE_SUSPICION + 3
    assert "shop:3:probe" not in line.cluster.documents()


def test_several_rows_the_server_breaks_on_share_one_wait(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(50)
    failing(line, {"shop:3": BROKEN, "shop:30": BROKEN, "shop:50": BROKEN})
    assert line.run_for(600, until=line.is_complete) < 30
    assert line.dead_letters.count() == 3


def test_a_shard_that_fails_on_everything_is_never_blamed_on_rows(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(ROWS)
    line.cluster.judge = lambda _key, _document: BROKEN
    line.run_for(6 * 3600)
    assert line.dead_letters.count() == 0
    assert line.reporting.health.condition.state == "degraded"
    last_hour = line.clock.now - 3600
    assert len(line.requests(last_hour)) <= 3600 / 5
    line.cluster.judge = lambda _key, _document: None
    line.run_for(61, until=line.is_complete)
    assert line.is_complete()
    assert line.dead_letters.count() == 0


def test_one_broken_shard_of_several_is_never_blamed_on_its_rows(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(ROWS)
    line.cluster.judge = lambda key, _document: BROKEN if key.split(":")[1] in ("2", "4") else None
    line.run_for(3600)
    assert line.dead_letters.count() == 0
    assert "shop:1" in line.cluster.documents()
    line.cluster.judge = lambda _key, _document: None
    line.run_for(61, until=line.is_complete)
    assert line.is_complete()


def test_a_row_the_server_breaks_on_only_in_full_is_taken_on_a_lower_rung(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(ROWS)
    tried = failing(line, {"shop:3": BROKEN}, times=TRIES_BEFORE_SUSPICION + 1)
    line.run_for(600, until=line.is_complete)
    assert line.dead_letters.count() == 0
    assert "shop:3" in line.cluster.documents()
    assert tried["shop:3"] == TRIES_BEFORE_SUSPICION + 2


@pytest.mark.parametrize("first", [2, 500, 999, 1999])
def test_a_document_over_the_limit_is_a_dead_letter_within_one_step(make_line: MakeLine, first: int) -> None:
    line = make_line(batch_rows=2000)
    line.rows.add(first)
    line.rows.add(1, "x" * 900_000)
    line.rows.add(2000 - first - 1)
    limited(line, 300_000)
    took = line.run_for(600, until=line.is_complete)
    assert line.is_complete()
    assert took <= 1
    letters = line.dead_letters.listed()
    assert [(kept.letter.id, kept.letter.kind) for kept in letters] == [(first + 1, "too_large")]
    assert letters[0].letter.row["omitted"] == "too large: the table has it"


def test_requests_over_the_limit_are_halved_at_once_and_grow_back(make_line: MakeLine) -> None:
    line = make_line(batch_rows=1000, batch_bytes=2_000_000)
    line.rows.add(4000, "x" * 1000)
    sizes = limited(line, 400_000)
    took = line.run_for(600, until=line.is_complete)
    assert line.is_complete()
    assert took <= 1
    assert line.dead_letters.count() == 0
    assert max(sizes) <= 400_000
    assert not any("tail.deferred" in said for said in line.lines)
    line.cluster.fault = lambda _effect: None
    limited(line, 10**9)
    line.rows.add(8000)
    line.run_for(60, until=line.is_complete)
    assert max(line.cluster.requests) == 1000


@pytest.mark.parametrize(("rows", "size"), [(5000, 1000), pytest.param(5, 900_000, marks=pytest.mark.slow)])
def test_a_way_that_finds_everything_too_large_is_never_blamed_on_rows(
    make_line: MakeLine, rows: int, size: int
) -> None:
    line = make_line(batch_rows=2000)
    line.rows.add(rows, "x" * size)
    # Nothing but documents has to pass there: a dead letter would be kept.
    limited(line, 20, letters_too=False)
    line.run_for(3600)
    assert line.dead_letters.count() == 0
    assert "http.max_content_length" in str(line.published["reason"])
    assert len(line.requests(line.clock.now - 1800)) <= 1800 / 5
    limited(line, 10**9)
    line.run_for(61, until=line.is_complete)
    assert line.is_complete()


def limited(line: Line, most_bytes: int, *, letters_too: bool = True) -> list[int]:
    """Answer 413 to every request above a size; return the sizes of those that were taken."""
    taken: list[int] = []
    # The stores of the fakes are reached past HTTP: the limit stands before the two that carry rows.
    bulk = line.shipper._requests._bulk
    send = type(bulk).send
    put = type(line.dead_letters).put

    def refuse_large(size: int) -> None:
        if size > most_bytes:
            line._effect("refused")
            raise translated(413, "<html>413</html>", where="POST /_bulk")
        taken.append(size)

    def limited_send(body: bytes, keys: Sequence[str]) -> Any:
        refuse_large(len(body))
        return send(bulk, body, keys)

    def limited_put(letters: Any, at: str) -> None:
        refuse_large(sum(len(str(letter.row)) for letter in letters))
        put(line.dead_letters, letters, at)

    bulk.send = limited_send  # type: ignore[method-assign]
    line.dead_letters.put = limited_put if letters_too else lambda letters, at: put(line.dead_letters, letters, at)  # type: ignore[method-assign]
    return taken


def test_a_failure_without_a_kind_of_ours_keeps_its_words() -> None:
    error = translated(413, "<html>413</html>", where="POST /_bulk")
    assert isinstance(error, TemporaryError)
    assert error.remedy


@pytest.mark.parametrize("kept_by", ["this process", "another one"])
def test_a_letter_is_cleared_when_its_row_is_read_again_and_taken(make_line: MakeLine, kept_by: str) -> None:
    line = make_line()
    line.rows.add(ROWS)
    failing(line, {"shop:2": MAPPING, "shop:4": MAPPING})
    line.run_for(10, until=line.is_complete)
    shipper = line.shipper if kept_by == "this process" else make_line(cluster=line.cluster).shipper

    failing(line, {"shop:4": MAPPING})
    shipped = shipper.ship(line.rows.rows, 5_000_000)
    assert (shipped.counts["indexed"], shipped.counts["dead_letters"]) == (ROWS - 1, 1)
    assert [(kept.letter.id, kept.attempts) for kept in line.dead_letters.listed()] == [(4, 2)]
    shipper.ship(line.rows.rows[:3], 5_000_000)
    assert line.dead_letters.count() == 1, "a letter whose row was not read stays"


def test_rows_above_the_last_letter_cost_no_question_about_letters(make_line: MakeLine) -> None:
    line = make_line()
    line.rows.add(ROWS)
    failing(line, {"shop:2": MAPPING})
    line.run_for(10, until=line.is_complete)

    def asked(low: int, high: int) -> set[int]:
        raise AssertionError(f"letters from {low} to {high}")

    line.dead_letters.ids_between = asked  # type: ignore[method-assign]
    line.rows.add(200)
    line.run_for(60, until=line.is_complete)
    assert line.is_complete()
