"""The journal's chain: nothing can be altered, taken out or put in unseen."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from agent.errors import PermanentError
from agent.opensearch.journal import Entry
from agent.retention.journal import Journal, Kind, following, verify
from tests.fakes.retention import FakeJournal


def chain(length: int = 5) -> list[dict[str, Any]]:
    store = FakeJournal()
    journal = Journal(store, instance="whmcs")
    for number in range(length):
        journal.append(Kind.RETENTION, {"run": f"r{number}", "ünï": 1.5}, at="2026-11-23T03:20:00Z", who="x")
    return [entry.content for entry in store.content]


@pytest.mark.parametrize("length", [0, 1, 5])
def test_an_untouched_chain_is_intact(length: int) -> None:
    assert verify(chain(length)).intact


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("key", ["what", "who", "at", "kind", "number", "previous", "hash", "instance"])
def test_an_altered_entry_is_found(number: int, key: str) -> None:
    entries = copy.deepcopy(chain())
    entries[number][key] = {"run": "other"} if key == "what" else 77 if key == "number" else "other"

    assert verify(entries).broken_at == number + 1


@pytest.mark.parametrize("number", range(4))
def test_a_removed_entry_is_found(number: int) -> None:
    entries = chain()
    del entries[number]

    assert verify(entries).broken_at == number + 1


def test_a_cut_off_end_is_found_by_who_noted_the_head() -> None:
    entries = chain()
    head = verify(entries).head

    assert verify(entries[:-1]).intact
    assert not verify(entries[:-1], head=head).intact


@pytest.mark.parametrize("left", range(5))
def test_a_cut_off_end_is_found_by_what_retention_noted(left: int) -> None:
    content = chain(5)
    noted = (5, str(content[-1]["hash"]))

    assert verify(content, noted=noted).intact
    assert verify([*content, *chain(6)[5:]], noted=noted).intact
    verdict = verify(content[:left], noted=noted)
    assert (verdict.broken_at, "retention noted entry 5" in verdict.reason) == (left + 1, True)


def test_a_chain_written_anew_is_found_by_what_retention_noted() -> None:
    content = chain(3)
    other = [following(None, Kind.PAUSED, {}, at="2026-11-23T00:00:00.000Z", who="x", instance="whmcs")]

    verdict = verify(other, noted=(1, str(content[0]["hash"])))
    assert (verdict.broken_at, "replaced" in verdict.reason) == (1, True)


def test_swapped_and_inserted_entries_are_found() -> None:
    entries = chain()
    swapped = [entries[1], entries[0], *entries[2:]]
    inserted = [*entries[:2], dict(entries[1], number=3), *entries[2:]]

    assert (verify(swapped).broken_at, verify(inserted).broken_at) == (1, 3)


def test_a_lost_race_takes_the_next_number() -> None:
    rival = following(None, Kind.EXPORT, {}, at="t", who="rival", instance="whmcs")
    store = FakeJournal(rivals=[Entry(seq=1, at="t", kind="export", content=rival)])
    entry = Journal(store, instance="whmcs").append(Kind.RETENTION, {}, at="t", who="us")

    assert entry["number"] == 2
    assert verify(stored.content for stored in store.content).intact


def test_what_is_not_plain_json_is_refused() -> None:
    with pytest.raises(PermanentError, match="plain JSON"):
        following(None, Kind.EXPORT, {"x": float("nan")}, at="t", who="x", instance="whmcs")
