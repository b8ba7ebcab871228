"""A retention run: what goes, what stays, and that dying at any effect changes nothing about either."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.errors import TemporaryError
from agent.retention import seal
from agent.retention.archive import Archive
from agent.retention.expired import Expiry
from agent.retention.journal import verify
from agent.retention.ledger import decoded
from agent.retention.pace import ReplicaWatch
from agent.retention.policy import Side, fixed
from agent.retention.rules import RuleSet
from agent.retention.run import BrakeRefused
from agent.retention.slices import Stopped, drive
from tests.fakes.retention import Crash, CrashAt, no_effect
from tests.unit.retention.world import NOW, Installation, at, counted, rules

NINETY = rules(
    rows={"days": 90},
    documents={"days": 90},
    rules=[{"name": "errors", "match": {"severity": "error"}, "rows": {"days": 105}, "documents": {"days": 400}}],
    holds=[{"name": "dispute", "match": {"client_id": 1}, "reason": "chargeback"}],
)
# Ids 1 to 4 are 120, 110, 100, 90 days old; 1 is an error, 2 is held, 4 is exactly at its cutoff.
EXPIRED_ROWS = [1, 3]
EXPIRED_DOCUMENTS = {3}


@pytest.fixture
def place(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    made.fill()
    return made


def entries(place: Installation) -> list[dict[str, Any]]:
    return [entry.content for entry in place.journal.content]


def archived_ids(folder: Path) -> list[int]:
    found: list[int] = []
    for path in sorted(folder.glob("whmcs/*.ndjson.gz")):
        assert seal.verify(path).intact
        found += [json.loads(line)["id"] for line in gzip.decompress(path.read_bytes()).splitlines()]
    return found


def test_expired_rows_and_documents_go_and_everything_else_stays(place: Installation) -> None:
    report = place.execute(NINETY)

    assert place.table.deleted == EXPIRED_ROWS
    assert set(range(1, 13)) - place.index.all_ids == EXPIRED_DOCUMENTS
    assert (report.left.rows, report.left.documents) == (0, 0)
    assert report.plan.rows.expired == report.tally.rows_deleted == 2
    assert report.plan.documents.expired == report.tally.documents_deleted == 1


def test_a_preview_touches_nothing_and_counts_what_the_run_then_deletes(place: Installation) -> None:
    plan = drive(place.retention().preview(NINETY, watermark=10**6), place.wait)

    assert (len(place.table.content), place.state.document, place.journal.content) == (12, None, [])
    assert {each.rule: each.expired.count for each in plan.rows.rules} == {"errors": 1, "default": 1}
    assert dict(plan.rows.held) == {"dispute": 1}
    assert place.execute(NINETY).tally.rows_deleted == plan.rows.expired


def test_what_two_holds_match_counts_for_the_first_on_both_sides(place: Installation) -> None:
    wide = {"name": "everything", "match": {}, "reason": "audit"}
    held = rules(
        rows={"days": 1}, documents={"days": 1}, holds=[{**wide, "match": {"client_id": 1}, "name": "x"}, wide]
    )
    plan = drive(place.retention().preview(held, watermark=10**6), place.wait)

    assert [dict(side.held) for side in (plan.rows, plan.documents)] == [{"x": 1, "everything": 11}] * 2


def test_a_second_run_deletes_nothing(place: Installation) -> None:
    place.execute(NINETY)
    report = place.execute(NINETY)

    assert (report.tally.rows_deleted, report.tally.documents_deleted) == (0, 0)


def test_one_entry_says_what_went_by_which_rule_and_the_chain_holds(place: Installation) -> None:
    place.execute(NINETY)
    (entry,) = entries(place)

    assert entry["what"]["rows"] == {
        "default": {"deleted": 1, "first_id": 3, "last_id": 3},
        "errors": {"deleted": 1, "first_id": 1, "last_id": 1},
    }
    assert entry["what"]["finished"] and entry["who"] == "test" and entry["what"]["policy_digest"] == NINETY.digest
    assert verify(entries(place)).intact


def test_rows_above_the_watermark_stay(place: Installation) -> None:
    place.execute(NINETY, watermark=2)

    assert place.table.deleted == [1]


@pytest.mark.parametrize("fault", ["missing", "different", "dead letter"])
def test_a_row_the_index_does_not_confirm_stays_and_can_be_repaired(place: Installation, fault: str) -> None:
    if fault == "different":
        place.table.crcs[3] += 1
    else:
        del place.index.content["2026.08"][3]
    if fault == "dead letter":
        place.index.dead.add(3)
    for _ in range(2):
        report = place.execute(NINETY)
        assert 3 in place.table.content
        assert report.tally.kept_unconfirmed + report.tally.kept_dead_letters == 1
        assert report.left.rows == 0
    executed = decoded(place.state.document or {}).executed
    assert executed is not None
    is_refused = executed.decide(Side.DOCUMENTS, place.table.content[3]).expired
    assert is_refused is (fault == "dead letter")

    place.index.dead.discard(3)
    place.index.add(place.table.content[3], place.table.crcs[3])
    place.execute(NINETY)
    assert 3 not in place.table.content
    assert 3 not in place.index.all_ids


def test_a_row_put_back_after_both_sides_expired_it_goes_without_a_document(place: Installation) -> None:
    put_back = place.table.content[3]
    place.execute(NINETY, watermark=12)
    place.table.add(**{"row_id": 3, **{key: value for key, value in put_back.items() if key != "id"}})
    place.execute(NINETY, watermark=12)

    assert 3 not in place.table.content


def test_a_row_that_comes_with_an_old_date_is_indexed_before_it_goes(place: Installation) -> None:
    place.execute(NINETY, watermark=12)
    place.table.add(20, created_at=at(timedelta(days=150)), severity="info", client_id=9)
    assert not is_refused(place, 20)

    report = place.execute(NINETY, watermark=20)
    assert (20 in place.table.content, report.tally.kept_unconfirmed) == (True, 1)

    place.index.ship(place.table)
    place.execute(NINETY, watermark=20)
    assert 20 not in place.table.content
    assert 20 not in place.index.all_ids


def test_a_run_in_the_middle_of_the_first_load_leaves_what_is_not_settled_yet(place: Installation) -> None:
    """Rows above the watermark stay, with the documents some of them have already, and the rest is still indexed."""
    place.index.content.clear()
    place.index.ship(place.table, but=(10, 11, 12))
    all_expire = rules(rows={"days": 1}, documents={"days": 1})
    report = place.execute(all_expire, watermark=5)

    assert set(place.table.content) == set(range(6, 13))
    assert place.index.all_ids == set(range(6, 10))
    assert (report.left.rows, report.left.documents) == (0, 0)
    assert report.plan.documents.expired == report.tally.documents_deleted == 5
    assert not [row_id for row_id in place.table.content if is_refused(place, row_id, all_expire)]

    place.index.ship(place.table)
    place.execute(all_expire, watermark=12)
    assert (place.table.content, place.index.all_ids) == ({}, set())


def is_refused(place: Installation, row_id: int, chosen: RuleSet = NINETY) -> bool:
    executed = decoded(place.state.document or {}).executed
    return bool(Expiry(current=fixed(chosen, NOW), executed=executed).refuses(place.table.content[row_id]))


def test_a_missing_index_deletes_no_row(place: Installation) -> None:
    place.index.content.clear()
    report = place.execute(NINETY)

    assert (place.table.deleted, report.tally.kept_unconfirmed) == ([], 2)


def test_a_partition_of_which_a_document_survives_is_not_dropped(place: Installation) -> None:
    report = place.execute(NINETY)

    assert report.tally.dropped_partitions == []
    assert 1 in place.index.content["2026.07"]


@pytest.mark.parametrize("partition", ["2026.11", "2027.01", "undated"])
def test_an_expired_document_in_a_partition_it_does_not_belong_to_goes_too(place: Installation, partition: str) -> None:
    place.index.content.setdefault(partition, {})[3] = place.index.content["2026.08"].pop(3)
    report = place.execute(NINETY)

    assert 3 not in place.index.all_ids
    assert (place.table.deleted, report.left.documents) == (EXPIRED_ROWS, 0)
    assert {11, 12} <= place.index.all_ids


def test_a_partition_wholly_expired_is_dropped_and_counted(place: Installation) -> None:
    report = place.execute(rules(rows={"days": 60}, documents={"days": 60}))

    assert report.tally.dropped_partitions == ["2026.07", "2026.08"]
    assert report.tally.documents_deleted == report.plan.documents.expired == 6
    assert sorted(place.index.content) == ["2026.09", "2026.10", "2026.11"]


def test_undated_documents_are_never_touched(place: Installation) -> None:
    place.table.add(30, created_at=None)
    place.index.add(place.table.content[30], place.table.crcs[30])
    place.execute(rules(rows={"days": 1}, documents={"days": 1}))

    assert 30 in place.table.content
    assert 30 in place.index.content["undated"]


class TestBrakes:
    """A plan too large to be meant stops before anything goes."""

    @pytest.mark.parametrize("brakes", [{"max_share": 0.16}, {"max_share": 1, "max_rows": 1}])
    def test_a_tripped_brake_deletes_nothing_until_a_person_releases_it(
        self, place: Installation, brakes: dict[str, Any]
    ) -> None:
        place.brakes = brakes
        with pytest.raises(BrakeRefused, match="max_"):
            place.execute(NINETY)
        assert (place.table.deleted, len(place.index.all_ids)) == ([], 12)

        place.execute(NINETY, release=True)
        assert place.table.deleted == EXPIRED_ROWS

    @pytest.mark.parametrize("brakes", [{"max_share": 2 / 12}, {"max_share": 1, "max_rows": 2}])
    def test_a_plan_at_the_limit_goes_on(self, place: Installation, brakes: dict[str, Any]) -> None:
        place.brakes = brakes
        place.execute(NINETY)

        assert place.table.deleted == EXPIRED_ROWS


class TestShortening:
    """A shortened policy is announced, and deletes one cycle later."""

    longer = rules(rows={"days": 105}, documents={"days": 105})
    shorter = rules(rows={"days": 50}, documents={"days": 50})

    def test_the_first_run_announces_and_the_next_deletes(self, place: Installation) -> None:
        place.execute(self.longer)
        waiting = place.execute(self.shorter)
        assert place.table.deleted == [1, 2]
        assert (waiting.plan.newly_rows, waiting.plan.newly_documents) == (5, 5)
        assert [entry["kind"] for entry in entries(place)] == ["retention", "policy_changed", "retention"]

        place.execute(self.shorter)
        assert place.table.deleted == [1, 2, 3, 4, 5, 6, 7]

    @pytest.mark.parametrize(("hours", "deleted"), [(22.9, 2), (23.0, 8)])
    def test_a_scheduled_run_waits_a_cycle(self, place: Installation, hours: float, deleted: int) -> None:
        place.execute(self.longer, by_person=False)
        place.execute(self.shorter, by_person=False)
        place.table.clock = NOW + timedelta(hours=hours)
        place.execute(self.shorter, by_person=False)

        assert len(place.table.deleted) == deleted

    def test_a_clock_set_back_meanwhile_does_not_make_it_wait_longer(self, place: Installation) -> None:
        place.execute(self.longer, by_person=False)
        place.table.clock = NOW + timedelta(days=400)
        drive(place.retention().announce(self.shorter, watermark=10**6, who="daemon"), place.wait)
        for hours in (0, 23):
            place.table.clock = NOW + timedelta(hours=hours)
            place.execute(self.shorter, by_person=False)

        assert len(place.table.deleted) == 8

    def test_while_it_waits_what_the_old_policy_expires_still_goes(self, place: Installation) -> None:
        place.execute(self.longer, by_person=False)
        place.execute(self.shorter, by_person=False)
        place.table.clock = NOW + timedelta(hours=20)
        place.table.add(0, created_at=at(timedelta(days=104.5)))
        place.index.ship(place.table)
        place.execute(self.shorter, by_person=False)

        assert place.table.deleted == [1, 2, 0]

    def test_a_longer_policy_does_not_wait(self, place: Installation) -> None:
        place.execute(self.shorter)
        report = place.execute(self.longer)

        assert not report.plan.newly_rows
        assert [entry["kind"] for entry in entries(place)] == ["retention", "retention"]

    def test_switched_off_or_released_it_does_not_wait(self, place: Installation) -> None:
        place.execute(self.longer)
        place.brakes = {"max_share": 1, "shorten_wait": "none"}
        place.execute(self.shorter)

        assert len(place.table.deleted) == 7

    def test_a_lifted_hold_waits_too(self, place: Installation) -> None:
        place.execute(NINETY)
        place.execute(replace(NINETY, holds=()))
        assert 2 in place.table.content

        place.execute(replace(NINETY, holds=()))
        assert 2 not in place.table.content

    def test_an_announcement_starts_the_wait(self, place: Installation) -> None:
        place.execute(self.longer, by_person=False)
        drive(place.retention().announce(self.shorter, watermark=10**6, who="daemon"), place.wait)
        place.table.clock = NOW + timedelta(hours=23)
        place.execute(self.shorter, by_person=False)

        assert len(place.table.deleted) == 8


class TestFaults:
    """The run stops, says why, and has deleted nothing unconfirmed."""

    def test_opensearch_down_deletes_nothing(self, place: Installation) -> None:
        def down(name: str) -> None:
            raise TemporaryError("OpenSearch is unreachable", kind="unreachable")

        place.index.effect = down
        with pytest.raises(TemporaryError, match="unreachable"):
            place.execute(NINETY)

        assert place.table.deleted == []

    def test_a_lease_lost_in_mid_run_stops_before_the_next_chunk(self, place: Installation) -> None:
        place.chunk_rows = 1
        held = iter([True, False])
        place.lease_held = lambda: next(held)
        with pytest.raises(TemporaryError, match="lease was lost"):
            place.execute(NINETY)

        assert place.table.deleted == [1]

    @pytest.mark.parametrize(("seconds", "deleted"), [(0.9, EXPIRED_ROWS), (1.0, [1])])
    def test_a_lease_lost_within_a_slow_chunk_stops_within_a_second(
        self, place: Installation, monkeypatch: pytest.MonkeyPatch, seconds: float, deleted: list[int]
    ) -> None:
        monkeypatch.setattr("agent.retention.row_removal.TRANSACTION_ROWS", 1)
        for_the_chunk = iter([True])
        place.lease_held = lambda: next(for_the_chunk, False) or len(place.table.deleted) == len(EXPIRED_ROWS)

        def slow(effect: str) -> None:
            place.seconds += seconds if effect == "rows deleted" else 0

        place.table.effect = slow
        with suppress(TemporaryError):
            place.execute(NINETY)

        assert place.table.deleted == deleted

    def test_a_second_runner_fences_the_first(self, place: Installation) -> None:
        work = place.retention().execute(NINETY, watermark=99, who="a", config_digest="", by_person=True)
        while next(work).phase != "confirm":
            pass
        place.execute(NINETY)
        with pytest.raises(Exception, match="another agent"):
            drive(work, place.wait)

        assert place.table.deleted == EXPIRED_ROWS

    @pytest.mark.parametrize(("refusals", "deleted"), [(4, EXPIRED_ROWS), (5, [])])
    def test_a_lock_is_waited_for_a_few_times(self, place: Installation, refusals: int, deleted: list[int]) -> None:
        left = [refusals]

        def locked(name: str) -> None:
            if name == "delete rows" and left[0]:
                left[0] -= 1
                raise TemporaryError("MySQL gave up waiting for a lock", kind="lock_wait")

        place.table.effect = locked
        if deleted:
            place.execute(NINETY)
        else:
            with pytest.raises(TemporaryError, match="lock"):
                place.execute(NINETY)
            assert entries(place) == [], "nothing went, nothing is told"

        assert place.table.deleted == deleted

    @pytest.mark.parametrize("at_chunk", [1, 2])
    def test_a_replica_that_stays_behind_ends_the_run_which_says_why_and_is_counted_once(
        self, place: Installation, at_chunk: int
    ) -> None:
        class Replica:
            name = "replica:3306"

            def lag_seconds(self) -> float | None:
                return 0.0 if len(place.table.deleted) < at_chunk - 1 else None

        place.chunk_rows = 1
        place.replicas = ReplicaWatch(replicas=[Replica()], max_lag_seconds=10)
        for _ in range(3):
            with pytest.raises(TemporaryError, match="does not keep up: replica replica:3306 does not say"):
                place.execute(NINETY)

        assert place.table.deleted == EXPIRED_ROWS[: at_chunk - 1]
        assert sum(bool(entry["what"]["rows"]) for entry in entries(place)) == len(place.table.deleted)
        assert decoded(place.state.document or {}).run is None

    def test_a_replica_of_unknown_lag_pauses_the_run_until_it_speaks(self, place: Installation) -> None:
        class Replica:
            name = "replica:3306"

            def __init__(self) -> None:
                self.lags = [None, 11.0, 10.0, 0.0]

            def lag_seconds(self) -> float | None:
                assert place.table.deleted == []
                return self.lags.pop(0)

        place.replicas = ReplicaWatch(replicas=[Replica()], max_lag_seconds=10)
        place.execute(NINETY)

        reasons = [piece.reason for piece in place.pieces if "replica" in piece.reason]
        assert ["does not say" in reasons[0], "11 s behind" in reasons[1], len(reasons)] == [True, True, 2]

    def test_a_stop_between_slices_leaves_a_run_the_next_one_counts(self, place: Installation) -> None:
        work = place.retention().execute(NINETY, watermark=99, who="a", config_digest="", by_person=True)
        with pytest.raises(Stopped):
            drive(work, lambda _: bool(place.table.deleted))
        place.execute(NINETY)

        counted = [sum(each["deleted"] for each in entry["what"]["rows"].values()) for entry in entries(place)]
        assert sum(counted) == len(EXPIRED_ROWS)

    @pytest.mark.parametrize("call", ["fsync", "open"])
    def test_a_full_or_unwritable_archive_deletes_nothing(
        self, place: Installation, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        place.archive_format = "ndjson"

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        if call == "fsync":
            monkeypatch.setattr("os.fsync", full)
        else:
            place.folder = place.folder / "file"
            place.folder.write_text("not a folder")
        with pytest.raises(TemporaryError, match="archive cannot be written"):
            place.execute(NINETY)

        assert place.table.deleted == []

    def test_the_pace_is_held(self, place: Installation) -> None:
        place.chunk_rows = 1
        place.execute(rules(rows={"days": 1}, documents={"days": 1}))

        assert len(place.table.deleted) == 12
        # Nothing is waited for after the last row.
        assert place.seconds == pytest.approx(0.11)


def test_documents_of_rows_core_deleted_early_stay_or_go_as_configured(place: Installation) -> None:
    for row_id in (2, 8, 9):
        del place.table.content[row_id]
    place.execute(NINETY)
    assert {2, 8, 9} <= place.index.all_ids

    place.mirror = True
    report = place.execute(NINETY)
    assert report.tally.mirrored == 2
    assert place.index.all_ids & {2, 8, 9} == {2}, "a held document stays"
    assert 1 in place.index.all_ids, "its row was ours to delete, its document is kept longer"


def test_a_mirror_that_would_empty_the_index_trips_the_brake(place: Installation) -> None:
    place.mirror = True
    place.brakes = {"max_share": 0.5}
    place.table.content.clear()
    with pytest.raises(BrakeRefused):
        place.execute(NINETY)

    assert len(place.index.all_ids) == 12


# Rows, a partition dropped, boundary documents deleted in several windows: every kind of effect.
ALL_KINDS = rules(
    rows={"days": 45},
    documents={"days": 45},
    rules=[{"name": "errors", "match": {"severity": "error"}, "rows": {"days": 105}, "documents": {"days": 105}}],
)


def dying(folder: Path, crash: CrashAt) -> Installation:
    place = Installation(folder, archive_format="ndjson", mirror=True)
    place.fill()
    del place.table.content[12]
    for part in (place.table, place.index, place.state, place.journal):
        part.effect = crash
    return place


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead leave their files open
def test_a_crash_at_any_effect_converges_to_the_undisturbed_result(tmp_path: Path) -> None:
    """Every effect of both sides, the ledger, the journal and the disk is a place to die at, before it and after it."""
    crash = CrashAt()
    with pytest.MonkeyPatch.context() as patch:
        for name, original in disk_effects():
            patch.setattr(name, counted(original, crash, name))
        quiet = dying(tmp_path / "quiet", crash)
        quiet.execute(ALL_KINDS)
        names = list(crash.names)
        for number in range(1, len(names) + 1):
            crash.number, crash.names = number, []
            place = dying(tmp_path / f"crash-{number}", crash)
            with pytest.raises(Crash):
                place.execute(ALL_KINDS)
            place.execute(ALL_KINDS)
            assert_same(place, quiet, f"{number}: {names[number - 1]}")

    assert {"rows deleted", "partition dropped", "documents deleted", "orphans deleted", "os.fsync done"} < set(names)


def assert_same(place: Installation, quiet: Installation, where: str) -> None:
    assert place.table.content == quiet.table.content, where
    assert len(place.table.deleted) == len(set(place.table.deleted)), where
    assert place.index.all_ids == quiet.index.all_ids, where
    assert archived_ids(place.folder) == archived_ids(quiet.folder) == quiet.table.deleted, where
    assert not list(place.folder.glob("**/*.undeleted")) + list(place.folder.glob("**/*.part")), where
    assert _counted_total(place) == _counted_total(quiet), where
    assert verify(entries(place)).intact, where
    assert decoded(place.state.document or {}).run is None, where


def test_a_row_changed_between_seal_and_deletion_stays(place: Installation) -> None:
    place.archive_format = "ndjson"

    def change(name: str) -> None:
        if name == "delete rows":
            place.table.crcs[3] += 1

    place.table.effect = change
    report = place.execute(NINETY)

    assert place.table.deleted == [1]
    assert (report.tally.kept_in_use, report.left.rows) == (1, 1)
    assert 3 in place.index.all_ids, "its document stays as long as the row does"

    place.table.effect = no_effect
    report = place.execute(NINETY)
    assert 3 in place.table.content, "what the index does not hold never goes, not in the next run either"
    assert report.tally.kept_unconfirmed == 1
    assert not is_refused(place, 3)


def test_a_row_somebody_holds_for_a_moment_goes_in_the_same_run_and_one_held_for_long_in_the_next(
    place: Installation,
) -> None:
    left = [2]
    place.table.is_held = lambda row_id: row_id == 3 and left[0] > 0
    place.table.effect = lambda name: left.__setitem__(0, left[0] - (name == "delete rows"))
    report = place.execute(NINETY)
    assert (place.table.deleted, report.left.rows, report.left.documents) == (EXPIRED_ROWS, 0, 0)

    again = Installation(place.folder)
    again.fill()
    again.table.is_held = lambda row_id: row_id == 3
    report = again.execute(NINETY)
    assert (again.table.deleted, report.tally.kept_in_use, report.left.rows) == ([1], 1, 1)
    assert 3 in again.index.all_ids
    again.table.is_held = lambda row_id: False
    again.execute(NINETY)
    assert (again.table.deleted, again.index.all_ids & {3}) == (EXPIRED_ROWS, set())


def test_rows_sealed_before_a_crash_are_recognised_even_when_another_archive_run_starts(place: Installation) -> None:
    place.archive_format = "ndjson"
    crash = CrashAt()
    place.table.effect = crash
    crash.number = 1
    with pytest.raises(Crash):
        place.execute(NINETY)
    archive = Archive(place.folder, instance="whmcs", format="ndjson")

    assert [sorted(ids) for ids in archive.undeleted().values()] == [EXPIRED_ROWS]
    place.execute(NINETY)
    assert archived_ids(place.folder) == EXPIRED_ROWS
    assert archive.undeleted() == {}


def test_the_policy_of_the_plan_is_fixed_at_the_start(place: Installation) -> None:
    work = place.retention().execute(NINETY, watermark=99, who="a", config_digest="", by_person=True)
    next(work)
    place.table.clock = NOW + timedelta(days=50)
    report = drive(work, place.wait)

    assert report.plan.policy.now == fixed(NINETY, NOW).now
    assert place.table.deleted == EXPIRED_ROWS


def disk_effects() -> list[tuple[str, Callable[..., Any]]]:
    return [("os.fsync", os.fsync), ("pathlib.Path.replace", Path.replace), ("pathlib.Path.unlink", Path.unlink)]


def _counted_total(place: Installation) -> tuple[Any, ...]:
    """Return what all journal entries together count."""
    found = [entry["what"] for entry in entries(place) if entry["kind"] == "retention"]
    sides = []
    for side in ("rows", "documents"):
        totals: dict[str, int] = {}
        for what in found:
            for rule, each in what[side].items():
                totals[rule] = totals.get(rule, 0) + each["deleted"]
        sides.append(tuple(sorted(totals.items())))
    dropped = sorted(name for what in found for name in what["dropped_partitions"])
    return (*sides, dropped, sum(what["mirrored"] for what in found))
