"""Leaves: the scalars of a context with their paths, to compare two documents that lie differently but say the same.

A value lies in `context` with its JSON type or in `context_overflow` as text cut to a length; which of both depended
on what was mapped when it was shipped. So a value may match its own text on the other side, and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from agent.mapping.overflow import KEY_BYTES, VALUE_BYTES, cut, text_of

_LARGE = re.compile(r"-?\d{19,300}")

Leaf = tuple[str, str]
"""Path, and the value: typed as `<type>:<text>`, or only its text."""


def typed(value: Mapping[str, Any] | None) -> Counter[Leaf]:
    """Return the leaves of what is kept as it came; nulls and empty containers say nothing."""
    return Counter((path, f"{item.__class__.__name__}:{text_of(item)}") for path, item in _scalars(value or {}, ""))


def texts(value: Mapping[str, Any] | None) -> Counter[Leaf]:
    """Return the leaves of an overflow."""
    return Counter((path, _plain(str(item))) for path, item in _scalars(value or {}, ""))


def overflowed(value: Mapping[str, Any] | None) -> Iterator[Leaf]:
    """Return the scalars of an overflow word for word."""
    return ((path, str(item)) for path, item in _scalars(value or {}, ""))


def as_texts(leaves: Counter[Leaf]) -> Counter[Leaf]:
    """Return typed leaves as the overflow holds them."""
    found: Counter[Leaf] = Counter()
    for (path, value), count in leaves.items():
        found[path, _plain(cut(value.partition(":")[2], VALUE_BYTES))] += count
    return found


def same(kept: Any, over: Any, other_kept: Any, other_over: Any) -> bool:
    """Return whether two pairs of context and overflow hold the same values at the same paths."""
    ours, theirs = typed(kept), typed(other_kept)
    our_texts, their_texts = texts(over), texts(other_over)
    return our_texts - their_texts == as_texts(theirs - ours) and their_texts - our_texts == as_texts(ours - theirs)


def _plain(text: str) -> str:
    """Return a text to compare: a parser makes floats of integers beyond 64 bits, the overflow keeps their digits."""
    return text_of(float(text)) if _LARGE.fullmatch(text) else text


def _scalars(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Walk without recursion: a context may be deeper than Python's stack is meant for."""
    stack = [(path, value)]
    while stack:
        above, item = stack.pop()
        if isinstance(item, dict):
            for key, inner in item.items():
                # Keys that differed only beyond a cut are kept apart by underscores.
                name = cut(key, KEY_BYTES).rstrip("_") or key
                stack.append((f"{above}.{name}" if above else name, inner))
        elif isinstance(item, list):
            stack.extend((above, inner) for inner in item)
        elif item is not None:
            yield above, item
