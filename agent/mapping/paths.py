"""Paths: which keys a field name may be made of, and how a path is written."""

from __future__ import annotations

LONGEST_PATH = 512
"""Characters of a joined path; longer names are data used as keys."""


def valid_segments(key: str) -> tuple[str, ...] | None:
    """Return the field names a key stands for (`a.b` is a path, as the server reads it), or None if it can't be one."""
    if "." not in key:
        return (key,) if 0 < len(key) <= LONGEST_PATH and valid_name(key) else None
    segments = tuple(key.split("."))
    return segments if len(key) <= LONGEST_PATH and all(map(valid_name, segments)) else None


def valid_name(name: str) -> bool:
    """Return whether one segment can be a field name of the mapping."""
    return bool(name) and not name.isspace()


def joined(segments: tuple[str, ...]) -> str:
    """Write a path as people and queries do, cut to a length a keyword keeps."""
    return ".".join(segments)[:LONGEST_PATH]
