"""The manifest of a sealed file: what it holds, written beside it; without one nothing counts as archived."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from agent.errors import PermanentError

MANIFEST = ".manifest.json"
PART = ".part"
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a sealed file holds. `digest` is the SHA-256 of everything else the manifest says."""

    file: str
    instance: str
    run: str
    format: str
    rows: int
    bytes: int
    sha256: str
    first_id: int
    last_id: int
    first_created_at: str | None
    last_created_at: str | None
    rules: Mapping[str, Mapping[str, Any]]
    version: int = 1
    digest: str = ""


def manifest_path(path: Path, *, part: bool = False) -> Path:
    """Return where a file's manifest is, or where it is being written."""
    return path.with_name(path.name + MANIFEST + (PART if part else ""))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest. Raises PermanentError when it is damaged, or names anything but a file beside it."""
    try:
        manifest = Manifest(**json.loads(path.read_bytes()))
        names_a_file = SAFE_NAME.fullmatch(manifest.file)
    except (ValueError, TypeError) as error:
        raise PermanentError("manifest is unreadable", where=str(path), got=str(error)) from error
    if not names_a_file:
        raise PermanentError("manifest names no file of this folder", where=str(path), got=repr(manifest.file)[:200])
    return manifest


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def is_as_sealed(path: Path) -> bool:
    """Say whether a file is there as its manifest says."""
    try:
        return manifest_path(path).exists() and sha256_of(path) == read_manifest(manifest_path(path)).sha256
    except (FileNotFoundError, PermanentError):
        return False


def digest_of(manifest: Manifest) -> str:
    """Return the SHA-256 of a manifest's content, its own digest left out."""
    content = {key: value for key, value in asdict(manifest).items() if key != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def private(path: Path) -> IO[bytes]:
    """Open a file for writing that nobody else may read, and never one that a link leads to elsewhere."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def write_durably(path: Path, manifest: Manifest) -> None:
    """Write a manifest with its digest and wait until the disk has it."""
    content = asdict(manifest) | {"digest": digest_of(manifest)}
    with private(path) as file:
        file.write(json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
