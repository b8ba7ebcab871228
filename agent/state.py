"""The state document: everything one instance must remember, in the index beside its data, written by compare-and-set.

The document is the truth and memory is a cache of it: whoever wrote last is adopted, and a process whose name no
longer stands in `lease` may not write. That fences off an agent that slept through the loss of its lease.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from agent.errors import TemporaryError
from agent.opensearch.state import Fenced, StateStore, Token

Document = dict[str, Any]
CHANGED = "state_changed"


class LeaseLost(TemporaryError):  # noqa: N818  the sentence it says: the lease is lost
    """Say that another agent ships for this instance now; this one stands by."""


class StateDocument:
    """One instance's state as this process last saw it, and its right to change it."""

    def __init__(self, store: StateStore, instance: str, holder: str) -> None:
        self._store = store
        self.instance = instance
        self.holder = holder
        self._version: Token | None = None
        self._claimed = False
        self.members: Document = {}

    @property
    def where(self) -> str:
        """Name the document in messages."""
        return f"state of instance {self.instance}"

    @property
    def exists(self) -> bool:
        """Say whether the document has ever been written."""
        return self._version is not None

    def refresh(self) -> bool:
        """Adopt the stored document; say whether somebody else had changed it since we last saw it.

        Raises LeaseLost, until `claim` is called again, when another agent has taken the lease, TemporaryError when
        the store is away.
        """
        found = self._store.read()
        version, self._version = self._version, found.token if found else None
        if found is not None and found.token != version:
            self.members = found.document
        self._require_claim()
        # Deleted under a running agent, what we remember is still true and is written again.
        return found is not None and found.token != version

    def claim(self, now: str) -> None:
        """Write our name into the lease; from then on no other agent's write succeeds. Raises TemporaryError."""
        self.refresh_unclaimed()
        self._put({**self.members, "instance": self.instance, "lease": self.holder, "lease_since": now})
        self._claimed = True

    def refresh_unclaimed(self) -> None:
        """Adopt the stored document without minding who holds the lease."""
        found = self._store.read()
        self.members, self._version = (found.document, found.token) if found else ({}, None)

    def write(self, changes: Mapping[str, Any]) -> None:
        """Change members as the holder of the lease.

        Raises LeaseLost when another agent is known to have taken it, TemporaryError(kind `state_changed`) when
        somebody wrote since the last `refresh`. Nothing is adopted here: only `refresh` does, and says so, or a
        change would be overwritten by what was derived from the document before it.
        """
        self._require_claim()
        self._put({**self.members, **changes})
        self._claimed = self._holds()

    def update(self, change: Callable[[Document], Mapping[str, Any]], attempts: int = 20) -> None:
        """Change members on a person's behalf, whoever holds the lease; repeated until no other write intervenes."""
        for _ in range(attempts):
            self.refresh_unclaimed()
            try:
                self._put({**self.members, **change(self.members)})
            except TemporaryError as failure:
                if failure.kind != CHANGED:
                    raise
                continue
            return
        raise TemporaryError("state changes too often to be written", where=self.where, kind=CHANGED)

    def paused(self, what: str) -> Mapping[str, Any] | None:
        """Return who paused `tail` or `retention`, why and since when, or None when it isn't paused."""
        pause = (self.members.get("paused") or {}).get(what)
        return pause if isinstance(pause, dict) else None

    def _holds(self) -> bool:
        return self.members.get("lease") == self.holder

    def _put(self, document: Document) -> None:
        try:
            self._version = self._store.write(document, self._version)
        except Fenced as fenced:
            raise TemporaryError("state was changed meanwhile", where=self.where, kind=CHANGED) from fenced
        self.members = document

    def _require_claim(self) -> None:
        if self._claimed and not self._holds():
            holder = str(self.members.get("lease") or "nobody")
            raise LeaseLost("another agent ships now", where=self.where, got=holder, kind="lease_lost")


def new_holder() -> str:
    """Return a name for this process that no other has: host, pid and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
