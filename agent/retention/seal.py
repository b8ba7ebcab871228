"""Checking a sealed archive against its manifest (`audit-agent archive verify FILE`): reads all, trusts nothing."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from agent.errors import ConfigError, PermanentError
from agent.retention.archive import records
from agent.retention.manifest import MANIFEST, Manifest, digest_of, manifest_path, read_manifest, sha256_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SealVerdict:
    """What checking found; a file is as it was sealed when there are no problems."""

    file: str
    rows: int
    first_id: int
    last_id: int
    sha256: str
    problems: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Say whether nothing was changed since the seal."""
        return not self.problems


def verify(path: Path) -> SealVerdict:
    """Check one file; its manifest may be named instead. Raises ConfigError when there is no such file."""
    data = path.with_name(path.name.removesuffix(MANIFEST))
    if not path.is_file():
        raise ConfigError("no such archive", where=str(path), remedy="name a .ndjson.gz or .csv.gz file")
    if not manifest_path(data).is_file():
        problem = "there is no manifest: the file was never sealed, or the manifest was taken away"
        return _verdict(data, None, [problem])
    try:
        manifest = read_manifest(manifest_path(data))
    except PermanentError as error:
        return _verdict(data, None, [str(error)])
    if not data.is_file():
        return _verdict(data, manifest, ["the sealed file is gone"])
    return _verdict(data, manifest, _problems(data, manifest))


def _problems(data: Path, manifest: Manifest) -> list[str]:
    problems = []
    if manifest.digest != digest_of(manifest):
        problems.append("the manifest was altered since it was written")
    if manifest.file != data.name:
        problems.append(f"the manifest is about {manifest.file}")
    size = data.stat().st_size
    if size != manifest.bytes:
        problems.append(f"{size} bytes, sealed were {manifest.bytes}")
    sha256 = sha256_of(data)
    if sha256 != manifest.sha256:
        problems.append(f"SHA-256 is {sha256}, sealed was {manifest.sha256}")
    return problems + _content_problems(data, manifest)


def _content_problems(data: Path, manifest: Manifest) -> list[str]:
    ids: list[int] = []
    try:
        ids.extend(record.id for record in records(data))
    except (OSError, EOFError, zlib.error, PermanentError, UnicodeDecodeError) as damage:
        return [f"unreadable after {len(ids)} rows: {damage}"]
    problems = []
    if len(ids) != manifest.rows:
        problems.append(f"{len(ids)} rows, sealed were {manifest.rows}")
    if ids != sorted(set(ids)):
        problems.append("ids are doubled or out of order")
    if ids and (ids[0], ids[-1]) != (manifest.first_id, manifest.last_id):
        problems.append(f"ids {ids[0]} to {ids[-1]}, sealed were {manifest.first_id} to {manifest.last_id}")
    return problems


def _verdict(data: Path, manifest: Manifest | None, problems: list[str]) -> SealVerdict:
    return SealVerdict(
        file=str(data),
        rows=manifest.rows if manifest else 0,
        first_id=manifest.first_id if manifest else 0,
        last_id=manifest.last_id if manifest else 0,
        sha256=manifest.sha256 if manifest else "",
        problems=tuple(problems),
    )
