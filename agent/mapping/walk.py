"""The walk: one parsed context against the catalogue, in two gaits.

`fits` answers whether every path of a context is mapped already and of a kind seen before; nearly every row does,
and its context is sent as it came. Only where it doesn't does `Walk` go path by path: it widens the catalogue, or
moves what cannot be mapped to the overflow. Each scalar ends in exactly one of the two; nothing raises.
"""

from __future__ import annotations

import re
from typing import Any

from agent.mapping.catalogue import Catalogue, Node
from agent.mapping.clean_texts import CleanTexts
from agent.mapping.exceptions import Exceptions, Path
from agent.mapping.leaf import MARK, NUMBER, SENSITIVE, STRING
from agent.mapping.numeric import NUMBER_STARTS, is_number
from agent.mapping.overflow import Overflow
from agent.mapping.paths import LONGEST_PATH, valid_segments
from agent.mapping.shape import LIST_DEPTH, Shape, shape_of

_BOTH = 4 | STRING | NUMBER
_WITH_STRINGS = 4 | STRING
_REDACTED = 4 | STRING | SENSITIVE
_WITH_NUMBERS = 4 | NUMBER
_EXACT = float(2**63)
_STANDS_FOR_SECRET = re.compile(r"(?:[A-Z]{2,10}-)?" + re.escape(MARK) + r"[^\]]*\]").fullmatch
"""What redaction leaves of a secret, a licence's prefix included, and nothing else."""
CONFLICT, BAD, TOO_DEEP, BUDGET = "conflict", "bad_key", "too_deep", "budget"
NOWHERE = object()


def fits(  # noqa: C901, PLR0911, PLR0912 - the hot loop, unrolled
    node: dict[str, Node], value: dict[str, Any], clean: CleanTexts | None = None
) -> bool:
    """Return whether the value can be sent as it is; False may also mean «look closer».

    With `clean` its strings must be free of secrets too, and the keys that are not in the catalogue.
    """
    for key, item in value.items():
        known = node.get(key)
        kind = item.__class__
        if kind is str:
            # A secret itself is not worth a look, nor a place among the texts that come back.
            if clean is not None and item not in clean and (known == _REDACTED or not clean.vouches(item)):
                return False
            if known == _BOTH:
                continue
            if known == _WITH_STRINGS:
                if item and item[0] in NUMBER_STARTS and is_number(item):
                    return False
            elif known != _REDACTED or not _STANDS_FOR_SECRET(item):
                return False
        elif kind is int:
            if known != _BOTH and known != _WITH_NUMBERS:  # noqa: PLR1714 - a tuple costs more
                return False
        elif kind is dict:
            if known.__class__ is not dict or not fits(known, item, clean):
                return False
        elif kind is bool:
            if known.__class__ is not int or known & SENSITIVE:
                return False
        elif kind is float:
            # Beyond 64 bits an integer was parsed as a float: its digits are read again.
            if (known != _BOTH and known != _WITH_NUMBERS) or not -_EXACT < item < _EXACT:  # noqa: PLR1714
                return False
        elif kind is list:
            if not (_list_fits(known, item, clean) if item or known is not None else _is_plain_key(key, clean)):
                return False
        elif known is None and not _is_plain_key(key, clean):  # a null needs no path, only a key the server takes
            return False
    return True


def _is_plain_key(key: str, clean: CleanTexts | None) -> bool:
    """Return whether an unknown key can stay with nothing below it; a dotted one may lead through a leaf."""
    if clean is not None and key not in clean and not clean.vouches(key):
        return False
    return "." not in key and valid_segments(key) is not None


def _list_fits(known: Node | None, items: list[Any], clean: CleanTexts | None) -> bool:
    if known.__class__ is dict:
        return all(item.__class__ is dict and fits(known, item, clean) for item in items)
    leaf: dict[str, Node] = {"": known} if known is not None else {}
    return all(
        item.__class__ is not list and item.__class__ is not dict and fits(leaf, {"": item}, clean) for item in items
    )


def kinds_of(value: Any) -> int:
    """Return the kinds (flags) a scalar counts as."""
    kind = value.__class__
    if kind is str:
        return STRING | NUMBER if value[:1] in NUMBER_STARTS and is_number(value) else STRING
    return NUMBER if kind is int or kind is float else 0


def kinds_in(value: Any) -> int:
    """Return the kinds of a scalar, or of all scalars in an array."""
    if value.__class__ is not list:
        return kinds_of(value)
    flags = 0
    for item in value:
        flags |= kinds_in(item)
    return flags


_REFUSED = {Shape.MIXED: CONFLICT, Shape.DEEP: TOO_DEEP}


class Walk:
    """Route one context path by path, for one partition; used once."""

    def __init__(self, catalogue: Catalogue, *, exceptions: Exceptions | None = None, today: str | None = None) -> None:
        self.overflow = Overflow()
        self._catalogue = catalogue
        self._exceptions = exceptions
        self._today = today
        self._arrays = 0

    def route(self, root: str, value: dict[str, Any]) -> dict[str, Any]:
        """Return what stays under `root`; the rest is in `self.overflow`."""
        kept, over = self._object(self._catalogue.tree[root], value, (root,))
        self.overflow.value = over
        return kept

    def _object(
        self, node: dict[str, Node], value: dict[str, Any], above: Path
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        kept: dict[str, Any] = {}
        over: dict[str, Any] = {}
        is_known_here = self._exceptions is None and self._arrays == 0
        for key, item in value.items():
            if is_known_here and key in node and fits(node, {key: item}):
                kept[key] = item  # one odd entry must not make its neighbours expensive
                continue
            segments = valid_segments(key)
            if segments is None:
                self.overflow.place(over, key, self.overflow.spill(item, (*above, key), BAD))
                self.overflow.texts += [key] if key.strip() else []
                continue
            stays, spilt = self._entry(node, segments, item, above)
            if stays is not NOWHERE:
                kept[key] = stays
            if spilt is not NOWHERE:
                self.overflow.place(over, key, spilt)
        return kept, over

    def _entry(self, node: dict[str, Node], segments: Path, item: Any, above: Path) -> tuple[Any, Any]:
        """Return what of one entry stays and what goes to the overflow."""
        path = (*above, *segments)
        if sum(map(len, path)) > LONGEST_PATH:
            return NOWHERE, self.overflow.spill(item, path, BAD)
        if len(segments) > 1:
            for length in range(len(above) + 1, len(path)):
                child = self._child(node, path[:length])
                if isinstance(child, str):
                    return NOWHERE, self.overflow.spill(item, path, child)
                node = child
        shape = shape_of(item, LIST_DEPTH - self._arrays)
        if shape is Shape.EMPTY:
            return item, NOWHERE
        if shape is Shape.OBJECT:
            return self._branch(node, item, path)
        reason = _REFUSED.get(shape) or self._admit(node, path, item)
        return (item, NOWHERE) if reason is None else (NOWHERE, self.overflow.spill(item, path, reason))

    def _branch(self, node: dict[str, Node], item: Any, path: Path) -> tuple[Any, Any]:
        if item is None:
            return None, NOWHERE
        child = self._child(node, path)
        if isinstance(child, str):
            return NOWHERE, self.overflow.spill(item, path, child)
        if item.__class__ is dict:
            kept, over = self._object(child, item, path)
            return kept, over or NOWHERE
        self._arrays += 1
        pairs = [self._branch(node, element, path) for element in item]
        self._arrays -= 1
        spilt = [over for _, over in pairs if over is not NOWHERE]
        return [kept for kept, _ in pairs], spilt or NOWHERE

    def _child(self, node: dict[str, Node], path: Path) -> dict[str, Node] | str:
        """Return the object at a path, admitted if it is new, or the reason why there can be none."""
        if self._exceptions is not None and self._exceptions.refuses(path):
            return CONFLICT
        child = node.get(path[-1])
        if isinstance(child, dict):
            return child
        if child is not None:
            return CONFLICT
        if len(path) > self._catalogue.max_depth:  # its own children would be one deeper
            return TOO_DEEP
        return self._catalogue.admit_object(node, path[-1], path) if self._catalogue.has_room(path) else BUDGET

    def _admit(self, node: dict[str, Node], path: Path, item: Any) -> str | None:
        """Let the leaf at a path take a scalar or an array of them; return the reason why it can't."""
        if self._exceptions is not None and self._exceptions.refuses(path):
            return CONFLICT
        known = node.get(path[-1])
        if isinstance(known, dict):
            return CONFLICT
        if known is not None:
            self._catalogue.widen_leaf(node, path[-1], path, kinds_in(item))
            return None
        if len(path) - 1 > self._catalogue.max_depth:
            return TOO_DEEP
        if not self._catalogue.has_room(path):  # asked first: keys that are data must not cost what fields do
            return BUDGET
        self._catalogue.admit_leaf(node, path[-1], path, kinds_in(item), self._today)
        return None


def has_cut_numbers(value: Any) -> bool:
    """Return whether the fast parser may have made floats of integers beyond 64 bits."""
    kind = value.__class__
    if kind is float:
        return not -_EXACT < value < _EXACT
    if kind is dict:
        return any(map(has_cut_numbers, value.values()))
    return kind is list and any(map(has_cut_numbers, value))
