"""The archive: files that expired rows are written to before they go, each sealed before any of its rows is deleted.

A file is written under a temporary name, fsynced, given its manifest (count, ids, dates, rules and cutoffs, SHA-256)
and renamed; the folder is fsynced last. Only a file with a manifest is sealed. A marker beside it (`.undeleted`) says
that its rows may still be in the table: it is made before the seal and goes when they are gone, so that a run after a
crash finds the rows it need not write again, and throws away what was never sealed.

    marker ─▶ data.part ─▶ fsync ─▶ data ─▶ manifest ─▶ fsync folder ─▶ (the run deletes rows) ─▶ marker goes
"""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.errors import PermanentError, TemporaryError
from agent.retention.manifest import (
    MANIFEST,
    PART,
    SAFE_NAME,
    Manifest,
    is_as_sealed,
    manifest_path,
    private,
    read_manifest,
    sha256_of,
    write_durably,
)
from agent.retention.record import FORMATS, CsvFormat, NdjsonFormat, Record

UNDELETED = ".undeleted"


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    first_id: int = 0
    last_id: int = 0
    dates: list[str] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.rows += 1
        self.first_id = self.first_id or record.id
        self.last_id = record.id
        self.rules[record.rule] = self.rules.get(record.rule, 0) + 1
        created_at = record.fields.get("created_at")
        if isinstance(created_at, str):
            self.dates = [min([*self.dates, created_at]), max([*self.dates, created_at])]


class Archive:
    """Write sealed files for one instance; every failure of the disk is a TemporaryError of kind `archive`."""

    def __init__(
        self,
        directory: Path,
        *,
        instance: str,
        format: str,  # noqa: A002  the configuration's word
        redact: Callable[[Record], Record] | None = None,
    ) -> None:
        if not SAFE_NAME.fullmatch(instance):
            raise PermanentError("instance cannot name a folder", got=repr(instance))
        self._directory = directory / instance
        self._instance = instance
        self._format: NdjsonFormat | CsvFormat = FORMATS[format]()
        self._redact = redact

    def begin(self, run: str, first_id: int, last_id: int) -> ArchiveFile:
        """Open the file for one batch of a run."""
        name = f"{run}-{first_id}-{last_id}{self._format.suffix}"
        if not SAFE_NAME.fullmatch(name):
            raise PermanentError("run cannot name a file", got=repr(run))
        with disk(self._directory):
            self._directory.mkdir(parents=True, exist_ok=True)
            return ArchiveFile(
                self._directory / name, instance=self._instance, run=run, format=self._format, redact=self._redact
            )

    def undeleted(self) -> dict[Path, dict[int, int]]:
        """Return the sealed files whose rows may still be in the table, each with its ids and their checksums.

        Whatever was left unsealed is removed: none of its rows was deleted.
        """
        found: dict[Path, dict[int, int]] = {}
        with disk(self._directory):
            for marker in sorted(self._directory.glob(f"*{UNDELETED}")):
                path = marker.with_name(marker.name.removesuffix(UNDELETED))
                if is_as_sealed(path):
                    found[path] = {record.id: record.crc for record in records(path)}
                    continue
                if manifest_path(path).exists():
                    # Taken away or damaged since: whatever of it is still in the table is archived anew.
                    marker.unlink()
                    continue
                for leftover in (path, path.with_name(path.name + PART), manifest_path(path, part=True), marker):
                    leftover.unlink(missing_ok=True)
        return found

    def settle(self, path: Path) -> None:
        """Note that none of a file's rows is in the table any more."""
        with disk(path):
            path.with_name(path.name + UNDELETED).unlink(missing_ok=True)

    def holding(self, row_id: int) -> list[Path]:
        """Return the sealed files that hold a row."""
        found = []
        with disk(self._directory):
            for path in sorted(self._directory.glob(f"*{MANIFEST}")):
                manifest = read_manifest(path)
                data = path.with_name(manifest.file)
                if manifest.first_id <= row_id <= manifest.last_id and any(each.id == row_id for each in records(data)):
                    found.append(data)
        return found


class ArchiveFile:
    """One file being written; `seal` makes it count, `abandon` removes it."""

    def __init__(
        self,
        path: Path,
        *,
        instance: str,
        run: str,
        format: NdjsonFormat | CsvFormat,  # noqa: A002  the configuration's word
        redact: Callable[[Record], Record] | None,
    ) -> None:
        self.path = path
        self._instance = instance
        self._run = run
        self._format = format
        self._redact = redact
        self._tally = _Tally()
        # The marker comes first: whatever a crash leaves behind is found by it.
        private(path.with_name(path.name + UNDELETED)).close()
        self._raw = private(path.with_name(path.name + PART))
        self._gzip = gzip.GzipFile(filename="", fileobj=self._raw, mode="wb", compresslevel=6, mtime=0)

    def write(self, rows: Sequence[Record]) -> None:
        """Append rows, ascending by id."""
        with disk(self.path):
            for row in rows:
                record = row if self._redact is None else self._redact(row)
                if self._tally.rows == 0:
                    self._gzip.write(self._format.header(record))
                self._gzip.write(self._format.line(record))
                self._tally.add(record)

    def seal(self, cutoffs: Mapping[str, str | None]) -> Manifest:
        """Make the file durable and count it; `cutoffs` are those of the rules. Rows may be deleted after this only."""
        with disk(self.path):
            self._gzip.close()
            self._raw.flush()
            os.fsync(self._raw.fileno())
            self._raw.close()
            part = self.path.with_name(self.path.name + PART)
            manifest = self._manifest(part, cutoffs)
            write_durably(manifest_path(self.path, part=True), manifest)
            part.replace(self.path)
            # The manifest appears last: a file that has one is complete.
            manifest_path(self.path, part=True).replace(manifest_path(self.path))
            _sync_folder(self.path.parent)
        return manifest

    def abandon(self) -> None:
        """Give up what was written so far; an error on the way is no matter, the next run tidies up."""
        with contextlib.suppress(OSError, ValueError):
            self._gzip.close()
            self._raw.close()
            self.path.with_name(self.path.name + PART).unlink(missing_ok=True)

    def _manifest(self, part: Path, cutoffs: Mapping[str, str | None]) -> Manifest:
        tally = self._tally
        return Manifest(
            file=self.path.name,
            instance=self._instance,
            run=self._run,
            format=self._format.name,
            rows=tally.rows,
            bytes=part.stat().st_size,
            sha256=sha256_of(part),
            first_id=tally.first_id,
            last_id=tally.last_id,
            first_created_at=tally.dates[0] if tally.dates else None,
            last_created_at=tally.dates[-1] if tally.dates else None,
            rules={name: {"rows": rows, "cutoff": cutoffs.get(name)} for name, rows in sorted(tally.rules.items())},
        )


@contextlib.contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn the disk's refusals into the project's error."""
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise TemporaryError(
            "archive cannot be written or read",
            where=str(path),
            got=str(error),
            remedy="give the agent's user a writable folder with free space",
            kind="archive",
        ) from error


def records(path: Path) -> Iterator[Record]:
    """Read the rows of an archive file back, in order."""
    reader = next(each for each in FORMATS.values() if path.name.endswith(each.suffix))()
    with gzip.open(path, "rb") as file:
        yield from reader.records(io.BufferedReader(file))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
