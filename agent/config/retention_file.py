"""The retention file while the daemon runs: read again when it changes, and an invalid one keeps the old policy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from agent.config.problems import InvalidFile
from agent.config.retention import RetentionSettings
from agent.config.translation import validate
from agent.config.yaml_tree import parse_tree, read_bytes

_Signature = tuple[int, int, int]


class RetentionFile:
    """Hold the policy in force and the file it came from.

    The constructor raises InvalidFile: an agent does not start on a policy it cannot read. After that the policy in
    force is only ever replaced by a valid one.
    """

    def __init__(self, path: Path, environ: Mapping[str, str] | None = None) -> None:
        self.path = path
        self._environ = os.environ if environ is None else environ
        self._signature = self._sign()
        self._seen, self.settings = self._read()
        self._digest = self._seen

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the content that the policy in force was read from, for the journal."""
        return self._digest

    def changed(self) -> bool:
        """Say whether the file looks different from when it was last read, valid or not; one `stat`, no reading."""
        return self._sign() != self._signature

    def load_if_changed(self, *, force: bool = False) -> InvalidFile | RetentionSettings | None:
        """Read the file again if it changed (or anyway, on SIGHUP).

        Return the new policy, which is then in force; or the error, with the old policy still in force; or None when
        there is nothing new. The same invalid content is reported once.
        """
        if not force and not self.changed():
            return None
        # Signed before reading: a write in between makes the next look read again, rather than be missed.
        self._signature = self._sign()
        try:
            content = read_bytes(self.path)
            seen = hashlib.sha256(content).hexdigest()
            if seen == self._seen and not force:
                return None
            self._seen = seen
            settings = self._parse(content)
        except InvalidFile as error:
            return error
        known = settings == self.settings
        self.settings, self._digest = settings, seen
        return None if known else settings

    def _read(self) -> tuple[str, RetentionSettings]:
        content = read_bytes(self.path)
        return hashlib.sha256(content).hexdigest(), self._parse(content)

    def _parse(self, content: bytes) -> RetentionSettings:
        tree = parse_tree(str(self.path), content, self._environ)
        return validate(RetentionSettings, tree, self.path.resolve().parent)

    def _sign(self) -> _Signature:
        try:
            stat = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
