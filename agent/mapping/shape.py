"""The shape: how a value lies on a path, which decides whether a mapping can take it."""

from __future__ import annotations

from enum import Enum
from typing import Any

LIST_DEPTH = 18
"""How many arrays may lie in one another along a path: the server refuses a document with more than 20."""


class Shape(Enum):
    """Say how a value lies on a path."""

    EMPTY = 0
    """Nulls and arrays of nothing: accepted anywhere."""
    LEAF = 1
    OBJECT = 2
    MIXED = 3
    """Scalars and objects in one array, which no mapping takes."""
    DEEP = 4
    """Arrays in arrays beyond what the server's parser takes."""


def shape_of(value: Any, arrays_left: int = LIST_DEPTH) -> Shape:
    """Return the shape of a value of the context."""
    kind = value.__class__
    if value is None:
        return Shape.EMPTY
    if kind is dict:
        return Shape.OBJECT
    if kind is not list:
        return Shape.LEAF
    if arrays_left <= 0:
        return Shape.DEEP
    shapes = {shape_of(item, arrays_left - 1) for item in value} - {Shape.EMPTY}
    if Shape.DEEP in shapes:
        return Shape.DEEP
    return Shape.MIXED if len(shapes) > 1 else shapes.pop() if shapes else Shape.EMPTY
