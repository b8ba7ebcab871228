"""The archive: sealed means sealed, and whatever was not is gone."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import stat
from pathlib import Path

import pytest

from agent.errors import ConfigError, PermanentError, TemporaryError
from agent.mapping.redaction import Redaction
from agent.retention.archive import MANIFEST, PART, UNDELETED, Archive, manifest_path, records
from agent.retention.record import CsvFormat, Record
from agent.retention.redacted import redacting
from agent.retention.seal import verify

FORMULAE = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"]
TEXTS = [*FORMULAE, "'=1", "''", "'", "", "a,b", 'say "x"', "line\r\nbreak", "ünï 🎈", "\x00", "2026-01-01"]


def record(row_id: int, **fields: str | int | None) -> Record:
    content = {"id": row_id, "created_at": f"2026-01-{row_id:02} 00:00:00", "detail": "d", **fields}
    return Record(fields=content, crc=row_id * 11, rule="default" if row_id % 2 else "errors")


def sealed(folder: Path, content: list[Record], kind: str = "ndjson") -> Path:
    file = Archive(folder, instance="whmcs", format=kind).begin("run", content[0].id, content[-1].id)
    file.write(content)
    file.seal({"default": "2026-02-01T00:00:00.000Z"})
    return file.path


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_what_was_written_is_read_back_and_verified(tmp_path: Path, kind: str) -> None:
    content = [record(number, detail=text) for number, text in enumerate(TEXTS, 1)]
    path = sealed(tmp_path, content, kind)
    manifest = json.loads(manifest_path(path).read_text())

    assert [each.fields["detail"] for each in records(path)] == TEXTS
    assert [(each.id, each.crc, each.rule) for each in records(path)] == [(e.id, e.crc, e.rule) for e in content]
    assert verify(path).intact and verify(manifest_path(path)).intact
    assert (manifest["rows"], manifest["first_id"], manifest["last_id"]) == (len(TEXTS), 1, len(TEXTS))
    assert manifest["rules"]["default"] == {"rows": 9, "cutoff": "2026-02-01T00:00:00.000Z"}
    assert (manifest["first_created_at"], manifest["last_created_at"][:10]) == ("2026-01-01 00:00:00", "2026-01-17")


@pytest.mark.parametrize("text", FORMULAE)
def test_no_cell_of_a_csv_begins_as_a_formula(text: str) -> None:
    line = CsvFormat().line(record(1, detail=text)).decode()

    assert next(csv.reader(io.StringIO(line, newline="")))[2] == "'" + text


@pytest.mark.parametrize("damage", ["cut", "flip", "append", "replace", "delete", "manifest", "no manifest"])
def test_any_change_after_the_seal_is_found(tmp_path: Path, damage: str) -> None:
    path = sealed(tmp_path, [record(number) for number in range(1, 20)])
    content = path.read_bytes()
    manifest = manifest_path(path)
    if damage == "cut":
        path.write_bytes(content[:-9])
    elif damage == "flip":
        path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    elif damage == "append":
        path.write_bytes(content + gzip.compress(b'{"id": 99, "agent.crc": 1, "agent.rule": "x"}\n'))
    elif damage == "replace":
        path.write_bytes(gzip.compress(b"{}\n"))
    elif damage == "delete":
        path.unlink()
        path = manifest
    elif damage == "manifest":
        manifest.write_text("{")
    else:
        manifest.unlink()

    assert not verify(path).intact


def test_a_manifest_fitted_to_a_file_with_a_row_missing_is_found(tmp_path: Path) -> None:
    path = sealed(tmp_path, [record(number) for number in range(1, 4)])
    other = sealed(tmp_path / "other", [record(1), record(3)])
    path.write_bytes(other.read_bytes())
    forged = json.loads(manifest_path(path).read_text())
    forged |= {key: json.loads(manifest_path(other).read_text())[key] for key in ("sha256", "bytes")}
    manifest_path(path).write_text(json.dumps(forged))

    assert verify(path).problems == ("the manifest was altered since it was written", "2 rows, sealed were 3")


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_bit_turned_anywhere_in_file_or_manifest_is_found(tmp_path: Path, kind: str) -> None:
    path = sealed(tmp_path, [record(number, context='{"a": [1, "x"]}') for number in range(1, 4)], kind)
    for target in (path, manifest_path(path)):
        content = target.read_bytes()
        for position in range(0, len(content) * 8, 27):
            turned = bytearray(content)
            turned[position // 8] ^= 1 << position % 8
            target.write_bytes(turned)
            assert not verify(path).intact, (target.name, position)
        target.write_bytes(content)
    assert verify(path).intact


def test_a_file_under_another_name_is_found_with_its_manifest_or_without(tmp_path: Path) -> None:
    path = sealed(tmp_path, [record(1)])
    renamed = path.rename(path.with_name("other.ndjson.gz"))
    assert not verify(renamed).intact
    manifest_path(path).rename(manifest_path(renamed))
    assert verify(renamed).problems == (f"the manifest is about {path.name}",)


def test_a_sealed_file_damaged_or_moved_before_its_rows_went_does_not_count_as_their_archive(tmp_path: Path) -> None:
    for number, damage in enumerate((lambda path: path.write_bytes(path.read_bytes()[:-1]), Path.unlink), 1):
        path = sealed(tmp_path, [record(number)])
        damage(path)
        archive = Archive(tmp_path, instance="whmcs", format="ndjson")

        assert archive.undeleted() == {}
        assert not list(tmp_path.glob("**/*.undeleted"))
        assert manifest_path(path).exists(), "what is left stays for whoever looks into it"


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_context_of_megabytes_is_read_back(tmp_path: Path, kind: str) -> None:
    long = "x" * (2 << 20)
    path = sealed(tmp_path, [record(1, context=long)], kind)

    assert verify(path).intact
    assert [each.fields["context"] for each in records(path)] == [long]


def test_a_file_that_is_not_there_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such archive"):
        verify(tmp_path / "nothing.ndjson.gz")


@pytest.mark.parametrize("instance", ["../evil", "a/b", "", ".", "..", "a\0b", "-x"])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, instance: str) -> None:
    with pytest.raises(PermanentError):
        Archive(tmp_path, instance=instance, format="ndjson")


def test_an_unsealed_file_is_removed_and_a_sealed_one_remembered(tmp_path: Path) -> None:
    archive = Archive(tmp_path, instance="whmcs", format="ndjson")
    lost = archive.begin("lost", 1, 2)
    lost.write([record(1)])
    lost.abandon()
    path = sealed(tmp_path, [record(3), record(4)])

    assert archive.undeleted() == {path: {3: 33, 4: 44}}
    archive.settle(path)
    assert archive.undeleted() == {}
    assert {each.name for each in path.parent.iterdir()} == {path.name, manifest_path(path).name}
    assert (archive.holding(3), archive.holding(9)) == ([path], [])


def test_a_disk_that_refuses_is_a_temporary_failure_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "whmcs").write_text("in the way")
    with pytest.raises(TemporaryError, match="whmcs"):
        Archive(tmp_path, instance="whmcs", format="csv").begin("run", 1, 2)


def test_what_is_archived_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = sealed(tmp_path, [record(1)])
    finally:
        os.umask(before)

    files = [path, manifest_path(path), path.with_name(path.name + UNDELETED)]
    assert {each.name: stat.S_IMODE(each.stat().st_mode) for each in files} == {each.name: 0o600 for each in files}


@pytest.mark.parametrize("suffix", [PART, UNDELETED, f"{MANIFEST}{PART}"])
def test_no_link_leads_the_archive_to_another_file(tmp_path: Path, suffix: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    folder = tmp_path / "archive" / "whmcs"
    folder.mkdir(parents=True)
    (folder / f"run-1-1.ndjson.gz{suffix}").symlink_to(victim)

    with pytest.raises(TemporaryError, match="archive"):
        sealed(tmp_path / "archive", [record(1)])
    assert victim.read_text() == "untouched"


def test_secrets_are_not_archived_and_clean_rows_stay_as_they_were(tmp_path: Path) -> None:
    redact = redacting(Redaction())
    clean = record(1, context='{"b": 1,  "a": [1, 2]}')
    guilty = record(2, context='{"password": "hunter2", "n": 1}', detail="password=hunter2 given")

    assert redact(clean) == clean
    assert "hunter2" not in str(redact(guilty).fields)
    assert (redact(guilty).crc, redact(guilty).id) == (22, 2)
