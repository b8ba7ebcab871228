"""Words of a declaration, put where the reader would take `{{` for a template: the Alerting plugin, Prometheus."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Return the text without two braces in a row: a broken template keeps a message, or a whole file, from working."""
    return re.sub(r"\{(?=\{)", "{ ", text)
