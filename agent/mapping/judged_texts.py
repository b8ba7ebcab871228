"""Judged texts: what redaction made of texts that may hold a secret, so that each is judged once while it comes back.

A task that fails every five minutes writes the same message each time, and judging it costs more than the whole rest
of its row. Texts are known by a digest, so that no secret is kept. Only so many characters are remembered, so that
memory stays flat whatever the contexts hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b

LONGEST = 16_000
MOST_CHARACTERS = 500_000
_DIGEST_BYTES = 16
_ENTRY_CHARACTERS = 200  # what an entry costs beside its text

Judgement = tuple[str, Mapping[str, int]]
"""The text without its secrets, and rule → how many were replaced."""


class JudgedTexts:
    """Hold judgements of texts; the same text always gets the same."""

    def __init__(self, judge: Callable[[str], Judgement]) -> None:
        self._judge = judge
        self._known: dict[bytes, Judgement] = {}
        self._characters = 0

    def judged(self, text: str) -> Judgement:
        """Return what redaction makes of a text."""
        if len(text) > LONGEST:
            return self._judge(text)
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
        found = self._known.get(digest)
        return self._remembered(digest, self._judge(text)) if found is None else found

    def _remembered(self, digest: bytes, judgement: Judgement) -> Judgement:
        size = _ENTRY_CHARACTERS + len(judgement[0])
        if self._characters + size > MOST_CHARACTERS:
            self._known.clear()
            self._characters = 0
        self._known[digest] = judgement
        self._characters += size
        return judgement
