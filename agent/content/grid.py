"""The grid of a dashboard: 48 columns, panels side by side, never on top of each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

COLUMNS = 48


def grid_problems(panels: Any) -> Iterator[str]:
    """Yield what is wrong with a dashboard's panels."""
    if not isinstance(panels, list):
        return
    if not panels:
        yield "has no panels"
    placed = [panel for panel in panels if isinstance(panel, dict)]
    if len(placed) != len(panels):
        yield "a panel is no JSON object"
    for panel in placed:
        yield from _panel_problems(panel)
    indices = [panel.get("panelIndex") for panel in placed]
    if len({str(index) for index in indices}) != len(indices):
        yield "two panels have the same panelIndex"
    boxes = [(panel, box) for panel in placed if (box := _box(panel)) is not None]
    for (one, first), (other, second) in combinations(boxes, 2):
        if _overlap(first, second):
            yield f"panels {one.get('panelIndex')} and {other.get('panelIndex')} overlap"


Box = tuple[int, int, int, int]


def _panel_problems(panel: dict[str, Any]) -> Iterator[str]:
    name = f"panel {panel.get('panelIndex')}"
    if not isinstance(panel.get("version"), str) or not re.fullmatch(r"\d+\.\d+\.\d+", panel["version"]):
        yield f"{name}: version must be a Dashboards version, as 7.10.0"
    if "id" in panel or not isinstance(panel.get("panelRefName"), str):
        yield f"{name}: must name its object by panelRefName, not by id"
    if not isinstance(panel.get("embeddableConfig"), dict):
        yield f"{name}: embeddableConfig is missing"
    grid = panel.get("gridData")
    box = _box(panel)
    if box is None or not isinstance(grid, dict):
        yield f"{name}: gridData needs whole numbers x, y, w, h"
        return
    x, y, width, height = box
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > COLUMNS:
        yield f"{name}: x={x} w={width} does not fit into {COLUMNS} columns"
    if not isinstance(grid.get("i"), str) or grid["i"] != panel.get("panelIndex"):
        yield f"{name}: gridData.i must be its panelIndex"


def _box(panel: dict[str, Any]) -> Box | None:
    grid = panel.get("gridData")
    if not isinstance(grid, dict):
        return None
    sides = [grid.get(side) for side in ("x", "y", "w", "h")]
    if not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        return None
    x, y, width, height = (int(side or 0) for side in sides)
    return x, y, width, height


def _overlap(one: Box, other: Box) -> bool:
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )
