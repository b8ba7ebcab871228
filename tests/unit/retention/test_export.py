"""The scheduled export: every row once, whenever it dies."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from agent.retention.archive import Archive
from agent.retention.export import Export, Exported
from agent.retention.journal import Journal
from agent.retention.ledger import LedgerStore
from agent.retention.slices import drive
from tests.fakes.retention import Crash, CrashAt
from tests.unit.retention.test_run import disk_effects
from tests.unit.retention.world import Installation, counted


def export(place: Installation, watermark: int = 10**6) -> Exported:
    work = Export(
        rows=place.table,
        files=Archive(place.folder, instance="whmcs", format="ndjson"),
        ledger=LedgerStore(place.state),
        journal=Journal(place.journal, instance="whmcs"),
        lease_held=place.lease_held,
    )
    return drive(work.slices(watermark=watermark, who="test"), place.wait)


def exported_ids(folder: Path) -> list[int]:
    lines = [line for path in folder.glob("whmcs/*.gz") for line in gzip.decompress(path.read_bytes()).splitlines()]
    return sorted(json.loads(line)["id"] for line in lines)


def test_each_export_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    place = Installation(tmp_path)
    place.fill()

    assert export(place, watermark=5).rows == 5
    assert export(place, watermark=5) == Exported(files=(), rows=0, last_id=5)
    assert export(place).rows == 7
    assert exported_ids(tmp_path) == list(range(1, 13))
    assert [entry.content["what"]["rows"] for entry in place.journal.content] == [5, 7]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead leave their files open
def test_a_crash_at_any_effect_leaves_out_and_doubles_nothing(tmp_path: Path) -> None:
    crash = CrashAt()
    with pytest.MonkeyPatch.context() as patch:
        for name, original in disk_effects():
            patch.setattr(name, counted(original, crash, name))
        for number in range(1, 100):
            crash.number, crash.names = number, []
            place = Installation(tmp_path / str(number))
            place.fill()
            place.state.effect = place.journal.effect = crash
            try:
                export(place)
            except Crash:
                place.table.add(13, created_at="2026-11-23 00:00:00")
                export(place)
                assert exported_ids(place.folder) == list(range(1, 14)), number
                assert sum(entry.content["what"]["rows"] for entry in place.journal.content) == 13, number
            else:
                break
    assert number > 10


def test_a_full_disk_exports_nothing_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Installation(tmp_path)
    place.fill()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    real = os.fsync
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="No space left"):
        export(place)
    monkeypatch.setattr("os.fsync", real)

    assert export(place).rows == 12
    assert exported_ids(tmp_path) == list(range(1, 13))
