"""Secrets from files, read at the moment of use, so that a rotated file needs no restart."""

from __future__ import annotations

import re
from pathlib import Path

from agent.errors import ConfigError

_MAX_SECRET_BYTES = 65_536  # a password or token; a larger file was named by mistake


def read_secret_file(path: Path, key: str) -> str:
    """Return the file's content without trailing line ends; `key` is the setting that names it.

    Raises ConfigError when the file is missing, unreadable, empty or not one line of text. A daemon that meets this
    in mid-run may be watching a rotation that is not atomic: it should try again rather than stop.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_SECRET_BYTES + 1)
    except OSError as error:
        what = f"{key} cannot be read ({error.strerror})"
        raise ConfigError(what, where=str(path), remedy="check the path, its owner and mode") from None
    try:
        secret = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        secret = ""
    if not secret or len(content) > _MAX_SECRET_BYTES or re.search(r"[\0\r\n]", secret):
        remedy = "the file holds the secret alone, as one line of UTF-8 text"
        raise ConfigError(f"{key} is empty, no text or more than one line", where=str(path), remedy=remedy)
    return secret
