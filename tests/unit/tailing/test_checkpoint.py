"""The checkpoint: what goes in comes out; what is damaged, newer or contradictory stops the agent, never «0»."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import PermanentError
from agent.state import StateDocument
from agent.tailing.checkpoint import FORMAT_VERSION, HEARTBEAT_SECONDS, HELD_SECONDS, Checkpoint, decoded, encoded
from agent.tailing.gaps import Gap, Progress, Sighting, Watched
from tests.fakes.opensearch import FakeCluster, FakeState

TIMES = st.floats(0, 4e9, allow_nan=False)
STARTS = st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6), TIMES), max_size=30)


def placed(parts: list[tuple[int, int, float]]) -> list[tuple[int, int, float]]:
    """Lay ranges one behind the other: (distance, length, time) → (first, last, time)."""
    end, result = 0, []
    for distance, length, at in parts:
        result.append((end + distance, end + distance + length, at))
        end += distance + length
    return result


@st.composite
def progresses(draw: st.DrawFn) -> Progress:
    gaps = tuple(Gap(first, last, Sighting(at)) for first, last, at in placed(draw(STARTS)))
    watch = tuple(Watched(first, last, at) for first, last, at in placed(draw(STARTS)))
    frontier = (gaps[-1].last if gaps else 0) + draw(st.integers(0, 2**62))
    return Progress(frontier, gaps, watch, draw(st.integers(0, 2**62)))


@given(progresses())
def test_progress_survives_the_index(progress: Progress) -> None:
    stored = orjson.loads(orjson.dumps(encoded(progress)))
    assert decoded(stored, where="here") == progress


def test_samples_do_not_survive_because_names_mean_something_to_one_process_only() -> None:
    progress = Progress(9, (Gap(3, 4, Sighting(7.0, frozenset({"t"}))),))
    assert decoded(encoded(progress), where="here").gaps[0].sighting == Sighting(7.0)


def test_ten_thousand_open_gaps_stay_below_64_kilobytes() -> None:
    rng = random.Random(7)
    first, gaps = 10**12, []
    for n in range(10_000):
        first += rng.randint(2, 5000)
        gaps.append(Gap(first, first + rng.randint(0, 300), Sighting(1.7e9 + n // 100)))
        first = gaps[-1].last
    document = encoded(Progress(first, tuple(gaps)))
    assert len(orjson.dumps(document)) < 64 * 1024
    assert decoded(document, where="here").gaps == tuple(gaps)


def sound() -> dict[str, Any]:
    return encoded(Progress(90, (Gap(10, 19, Sighting(5.0)), Gap(40, 40, Sighting(6.0))), (Watched(2, 3, 9.0),), 4))


def changed(**members: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {**sound(), **members}


def without(name: str) -> Callable[[], dict[str, Any]]:
    return lambda: {key: value for key, value in sound().items() if key != name}


def packed(text: str) -> list[dict[str, Any]]:
    return [{"seen_at": 5.0, "ranges": base64.b64encode(zlib.compress(text.encode())).decode()}]


DAMAGED = {
    "no version": without("format_version"),
    "no watermark": without("watermark"),
    "no frontier": without("frontier"),
    "no gaps": without("gaps"),
    "no watch": without("watch"),
    "no skipped": without("skipped_total"),
    "version 0": changed(format_version=0),
    "version as text": changed(format_version="1"),
    "null version": changed(format_version=None),
    "negative frontier": changed(frontier=-1, watermark=-1, gaps=[]),
    "frontier as text": changed(frontier="90"),
    "frontier true": changed(frontier=True, watermark=True, gaps=[]),
    "frontier 0": changed(frontier=0),
    "watermark 0": changed(watermark=0),
    "watermark above": changed(watermark=10),
    "frontier inside a gap": changed(frontier=39),
    "no base64": changed(gaps=[{"seen_at": 5.0, "ranges": "%%%"}]),
    "not compressed": changed(gaps=[{"seen_at": 5.0, "ranges": base64.b64encode(b"10:9").decode()}]),
    "not ranges": changed(gaps=packed("10;9")),
    "gaps as text": changed(gaps="none"),
    "gaps null": changed(gaps=None),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_checkpoint_stops_the_agent_with_the_remedy(damage: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(PermanentError, match="unreadable") as refused:
        opened(damage())
    assert "sync --restart" in refused.value.remedy


def test_a_checkpoint_of_a_newer_format_names_both_formats() -> None:
    with pytest.raises(PermanentError, match=f"newer agent.*format 2, this agent reads {FORMAT_VERSION}"):
        opened({"format_version": 2, "something": "else"})


@given(st.data())
def test_truncated_or_flipped_ranges_are_never_taken_for_others(data: st.DataObject) -> None:
    document = sound()
    ranges = bytearray(base64.b64decode(document["gaps"][0]["ranges"]))
    if data.draw(st.booleans()):
        ranges = ranges[: data.draw(st.integers(0, len(ranges) - 1))]
    else:
        ranges[data.draw(st.integers(0, len(ranges) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    document["gaps"][0]["ranges"] = base64.b64encode(ranges).decode()
    with pytest.raises(PermanentError):
        decoded(document, where="here")


@given(st.sampled_from(["frontier", "watermark", "skipped_total"]), st.integers(0, 62))
def test_a_flipped_bit_in_a_position_is_seen(member: str, bit: int) -> None:
    document = sound()
    document[member] ^= 1 << bit
    with pytest.raises(PermanentError):
        decoded(document, where="here")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def checkpoint(store: FakeState, clock: Clock | None = None, published: dict[str, Any] | None = None) -> Checkpoint:
    document = StateDocument(store, "whmcs", "me")
    document.claim("now")
    made = Checkpoint(document, lambda: published or {}, clock or Clock())
    made.open()
    return made


def opened(document: dict[str, Any]) -> Progress:
    store = FakeState(FakeCluster(), "whmcs")
    store.write(document, None)
    return checkpoint(store).progress


def written(store: FakeState) -> dict[str, Any]:
    kept = store.read()
    assert kept
    return kept.document


def test_an_instance_without_a_checkpoint_begins_at_id_0() -> None:
    assert opened({"instance": "whmcs", "paused": {"tail": None}}) == Progress()


def test_nothing_is_written_while_nothing_changes_until_the_heartbeat_is_due() -> None:
    store, clock = FakeState(FakeCluster(), "whmcs"), Clock()
    kept = checkpoint(store, clock, {"state": "idle", "reason": ""})
    kept.save(Progress(5), 5, (5, "2026-11-23 00:00:00"))
    writes = written(store), store.read()
    for waited, beats in ((HEARTBEAT_SECONDS - 0.1, False), (0.1, True)):
        clock.now += waited
        kept.beat()
        assert (store.read() != writes[1]) is beats


def test_a_changed_reason_is_told_at_once() -> None:
    store, published = FakeState(FakeCluster(), "whmcs"), {"state": "idle", "reason": ""}
    kept = checkpoint(store, published=published)
    kept.beat()
    published["reason"] = "MySQL is away"
    kept.beat()
    assert written(store)["reason"] == "MySQL is away"


def test_what_may_wait_is_held_for_a_second_and_then_written_with_its_totals() -> None:
    store, clock = FakeState(FakeCluster(), "whmcs"), Clock()
    kept = checkpoint(store, clock)
    kept.save(Progress(1), 1, None)
    clock.now += HELD_SECONDS - 0.1
    kept.save(Progress(5), 4, (5, "2026-11-23 00:00:00"), at_once=False)
    assert kept.progress == Progress(5)
    assert written(store)["frontier"] == 1
    clock.now += 0.1
    kept.save(Progress(7), 2, None, at_once=False)
    assert (written(store)["frontier"], written(store)["indexed_total"]) == (7, 7)
    assert written(store)["last_row"]["id"] == 5


def test_what_is_held_is_written_with_whatever_is_saved_at_once() -> None:
    store, clock = FakeState(FakeCluster(), "whmcs"), Clock()
    kept = checkpoint(store, clock)
    kept.save(Progress(1), 1, None)
    kept.save(Progress(5), 4, None, at_once=False)
    kept.save(Progress(5), 0, None)
    assert (written(store)["frontier"], written(store)["indexed_total"]) == (5, 5)


def test_a_beat_writes_what_was_held_long_enough() -> None:
    store, clock = FakeState(FakeCluster(), "whmcs"), Clock()
    kept = checkpoint(store, clock)
    kept.save(Progress(1), 1, None)
    kept.save(Progress(5), 4, None, at_once=False)
    kept.beat()
    assert written(store)["frontier"] == 1
    clock.now += HELD_SECONDS
    kept.beat()
    assert written(store)["frontier"] == 5


def test_totals_add_up_over_saves_and_restarts() -> None:
    store = FakeState(FakeCluster(), "whmcs")
    checkpoint(store).save(Progress(5), 5, None)
    checkpoint(store).save(Progress(8), 3, None)
    assert written(store)["indexed_total"] == 8


def test_rewinding_forgets_gaps_above_and_keeps_the_watch() -> None:
    store = FakeState(FakeCluster(), "whmcs")
    kept = checkpoint(store)
    kept.save(decoded(sound(), where="here"), 0, None)
    kept.rewind(9)
    assert kept.progress == Progress(9, (), (Watched(2, 3, 9.0),), 4)
    assert decoded(written(store), where="here") == kept.progress


@pytest.mark.parametrize(("row_id", "allowed"), [(8, True), (9, True), (10, False)])
def test_a_checkpoint_is_only_ever_set_back(row_id: int, *, allowed: bool) -> None:
    kept = checkpoint(FakeState(FakeCluster(), "whmcs"))
    kept.save(decoded(sound(), where="here"), 0, None)
    if allowed:
        kept.rewind(row_id)
        assert kept.progress.watermark == row_id
    else:
        with pytest.raises(PermanentError, match="only be set back"):
            kept.rewind(row_id)
