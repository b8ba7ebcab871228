"""Keep known secrets out of what is said: the last net, below the care every message already takes.

Errors are written without secrets in the first place; a driver's own text may still quote a URL or a header. The
mask knows the secret values themselves, so it needs no pattern and can't be fooled by an unusual message. Secrets that
rotate are asked for again at each use; the old ones stay masked.
"""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from agent.errors import CUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MASKED = "[secret]"
# A shorter value occurs in ordinary words: masking it would garble every line and give it away by doing so.
SHORTEST_SECRET_CHARACTERS = 4


class SecretMask:
    """Replace every known secret in a text, also in the forms it takes inside a URL or a quoted string."""

    def __init__(self, secrets: Iterable[str] = (), *, rotating: Callable[[], Iterable[str]] = lambda: ()) -> None:
        self._forms: tuple[str, ...] = ()
        self._known: frozenset[str] = frozenset()
        self._rotating = rotating
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Learn one more secret, for example the new content of a rotated password file. Idempotent."""
        secret = secret.strip()
        if len(secret) < SHORTEST_SECRET_CHARACTERS or secret in self._known:
            return
        self._known |= {secret}
        forms = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), repr(secret)[1:-1]}
        # Servers and proxies quote what they were sent inside JSON and HTML.
        forms |= {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)}
        # Longest first: a secret that contains another one must not leave its own rest behind.
        self._forms = tuple(sorted({*self._forms, *forms}, key=lambda form: (-len(form), form)))

    def learn(self) -> None:
        """Ask for the secrets that may have rotated."""
        for secret in self._rotating():
            self.add(secret)

    def __call__(self, text: str) -> str:
        """Return the text with every secret of this moment masked."""
        self.learn()
        return self.masked(text)

    def masked(self, text: str) -> str:
        """Return the text with every secret learnt so far masked."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASKED)
        *cut, rest = text.split(CUT)
        return CUT.join([*map(self._without_beginning, cut), rest])

    def _without_beginning(self, text: str) -> str:
        """Return a text that was cut without the beginning of a secret it ends in."""
        for form in self._forms:
            for length in range(min(len(form), len(text)), SHORTEST_SECRET_CHARACTERS - 1, -1):
                if text.endswith(form[:length]):
                    return text[:-length] + MASKED
        return text
