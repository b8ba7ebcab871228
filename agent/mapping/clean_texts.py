"""Clean texts: those that redaction is known to leave as they are, so that they are looked into once.

The same hosts, regions, states and messages come back in row after row. Only short texts are remembered, and only so
many, so that memory stays flat whatever the contexts hold.
"""

from __future__ import annotations

from collections.abc import Callable

LONGEST = 120
MOST = 10_000


class CleanTexts(set[str]):
    """Hold clean texts; ask `text in clean or clean.vouches(text)`, in this order: the first is nearly free."""

    def __init__(self, suspects: Callable[[str], bool]) -> None:
        super().__init__()
        self._suspects = suspects
        # Whoever is told to look closer asks about the same text again.
        self._suspect: str | None = None

    def vouches(self, text: str) -> bool:
        """Return whether a text cannot hold a secret; False may also mean «look closer»."""
        if text is self._suspect or self._suspects(text):
            self._suspect = text
            return False
        self.remember(text)
        return True

    def remember(self, text: str) -> None:
        """Hold a text that redaction has left as it is."""
        if len(text) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self.add(text)
