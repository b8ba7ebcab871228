"""The scheduled export: every row once, in sealed files, for installs that keep everything and want copies outside.

Files follow ids, not dates: an export goes on where the last one ended and stops at the watermark, so that rows which
committed late are in one file too, and none is in two. The place reached is in the ledger; a file that was sealed just
before a crash is found by its marker and counted instead of written again.

    marker ─▶ rows ─▶ seal ─▶ ledger ─▶ journal ─▶ marker goes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.retention.archive import Archive
from agent.retention.condition import ANYTHING
from agent.retention.journal import Journal, Kind, stamp
from agent.retention.ledger import LedgerStore
from agent.retention.manifest import manifest_path, read_manifest
from agent.retention.sides import Rows
from agent.retention.slices import Slice, Slices

FILE_ROWS = 200_000
_SLICE_ROWS = 2_000
_SLICE_IDS = 20_000
RULE = "export"
# A crash between entry and ledger is settled by the next export; hardly more entries come in between.
_RECENT_ENTRIES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote: files, rows, and the last id that is exported now."""

    files: tuple[str, ...]
    rows: int
    last_id: int


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write what came since the last export. `lease_held` is retention's: one process exports at a time."""

    rows: Rows
    files: Archive
    ledger: LedgerStore
    journal: Journal
    lease_held: Callable[[], bool]

    def slices(self, *, watermark: int, who: str) -> Slices[Exported]:
        """Do it; interrupted anywhere, the next export goes on without leaving out or doubling a row."""
        self._count_sealed(who)
        written: list[str] = []
        total = 0
        while self.lease_held():
            start = self._reached() + 1
            bounds = self.rows.bounds()
            if bounds is None or start > min(bounds[1], watermark):
                break
            now = self.rows.now()
            name, rows, last_id = yield from self._file(f"export-{now:%Y%m%d}", max(start, bounds[0]), watermark)
            if name:
                written.append(name)
                total += rows
                self._count_sealed(who)
            self._reach(last_id)
        return Exported(files=tuple(written), rows=total, last_id=self._reached())

    def _file(self, run: str, start: int, watermark: int) -> Slices[tuple[str, int, int]]:
        """Write one file; return its name (empty without rows), its rows, and the last id looked at."""
        bounds = self.rows.bounds()
        last = min(bounds[1] if bounds else watermark, watermark)
        file = self.files.begin(run, start, last)
        rows = 0
        try:
            while start <= last and rows < FILE_ROWS:
                end = min(start + _SLICE_IDS - 1, last)
                found = self.rows.candidates(ANYTHING, start, end, _SLICE_ROWS)
                for block in self.rows.records({each.id: RULE for each in found}):
                    file.write(block)
                    rows += len(block)
                start = found[-1].id + 1 if len(found) >= _SLICE_ROWS else end + 1
                yield Slice(phase="export", done=rows)
            if rows:
                file.seal({})
        finally:
            file.abandon()
        return (file.path.name if rows else "", rows, start - 1)

    def _count_sealed(self, who: str) -> None:
        for path in self.files.undeleted():
            manifest = read_manifest(manifest_path(path))
            if manifest.last_id > self._reached():
                what = {
                    "file": manifest.file,
                    "rows": manifest.rows,
                    "first_id": manifest.first_id,
                    "last_id": manifest.last_id,
                    "sha256": manifest.sha256,
                }
                if not self._is_journaled(manifest.file):
                    self.journal.append(Kind.EXPORT, what, at=stamp(self.rows.now()), who=who)
                self._reach(manifest.last_id)
            self.files.settle(path)

    def _is_journaled(self, file: str) -> bool:
        latest = self.journal.entries(max(0, self.journal.head() - _RECENT_ENTRIES))
        return any(entry["kind"] == Kind.EXPORT and entry["what"].get("file") == file for entry in latest)

    def _reached(self) -> int:
        return self.ledger.read().exported_to

    def _reach(self, last_id: int) -> None:
        ledger = self.ledger.read()
        if last_id > ledger.exported_to:
            self.ledger.write(replace(ledger, exported_to=last_id))
