"""Draw each dashboard from real demo data: its own panels on its own grid, asked with the panels' own queries.

    python docs/images/render.py        needs what the tests need: MariaDB and OpenSearch, or DEMO_*_URL

These are drawings, not screenshots: Dashboards itself draws the same numbers in its own style.
"""
# ruff: noqa: INP001  a script beside its pictures, not a package

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from agent.content.saved_objects import SavedObject, for_prefixes, parse  # noqa: E402  after the path is set
from demo import servers  # noqa: E402
from demo.rows import burst, rows  # noqa: E402
from tests.integration.dashboards_queries import query_of, search_of, vega_of  # noqa: E402
from tests.world import Database, World  # noqa: E402

ROWS, DAYS, SHOWN_DAYS = 20_000, 120, 30
CELL, LINE, HEAD, EDGE = 25, 17, 30, 6
COLOURS = ("#3b6fb6", "#d9822b", "#b03a3a", "#4a9d6f", "#7d5ba6", "#8a8a8a", "#c4a000", "#2b8c96")
KNOWN = {"info": COLOURS[0], "warn": COLOURS[1], "error": COLOURS[2]}
ANSI = "font-family='sans-serif' font-size='12'"
Answer = dict[str, Any]


class Picture:
    """Collect the marks of one picture."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.marks: list[str] = []

    def text(self, x: float, y: float, words: str, style: str = "") -> None:
        self.marks.append(f"<text x='{x:.0f}' y='{y:.0f}' {ANSI} {style}>{escape(words)}</text>")

    def box(  # noqa: PLR0917  a rectangle is four numbers and a colour
        self, x: float, y: float, width: float, height: float, colour: str, extra: str = ""
    ) -> None:
        place = f"x='{x:.1f}' y='{y:.1f}' width='{max(0.0, width):.1f}' height='{max(0.0, height):.1f}'"
        self.marks.append(f"<rect {place} fill='{colour}' {extra}/>")

    def svg(self) -> str:
        size = f"width='{self.width:.0f}' height='{self.height:.0f}'"
        box = f"viewBox='0 0 {self.width:.0f} {self.height:.0f}'"
        head = f"<svg xmlns='http://www.w3.org/2000/svg' {size} {box}>"
        return "\n".join([head, f"<rect {size} fill='#eef1f5'/>", *self.marks, "</svg>", ""])


class Panel:
    """Draw inside one panel: a title above, lines or bars below, nothing beyond its edge."""

    def __init__(self, picture: Picture, grid: dict[str, int], title: str) -> None:
        self.picture = picture
        self.x, self.y = grid["x"] * CELL + EDGE, grid["y"] * CELL + EDGE
        self.width, self.height = grid["w"] * CELL - EDGE, grid["h"] * CELL - EDGE
        picture.box(self.x, self.y, self.width, self.height, "white", "rx='4' stroke='#d3d9e0'")
        picture.text(self.x + 10, self.y + 20, title, "font-weight='bold' fill='#33404d'")
        self.lines = int((self.height - HEAD - EDGE) // LINE)

    def row(self, number: int, cells: list[str], weights: list[float]) -> None:
        if number >= self.lines:
            return
        at, room = self.x + 10, (self.width - 20) / sum(weights)
        for cell, weight in zip(cells, weights, strict=False):
            fitting = int(room * weight / 6.8)
            words = cell if len(cell) <= fitting else cell[: max(1, fitting - 1)] + "…"
            self.picture.text(at, self.y + HEAD + LINE * (number + 0.8), words, "fill='#33404d'")
            at += room * weight

    def bars(self, found: list[tuple[str, float]]) -> None:
        most = max((value for _, value in found), default=1) or 1
        for number, (name, value) in enumerate(found[: self.lines]):
            self.row(number, [name, f"{value:,.0f}"], [4.0, 6.0])
            long = (self.width * 0.45) * value / most
            top = self.y + HEAD + LINE * number + 4
            self.picture.box(self.x + self.width * 0.52, top, long, LINE - 6, COLOURS[number % len(COLOURS)])

    def stacks(self, buckets: list[tuple[str, list[tuple[str, float]]]]) -> None:
        names = list(dict.fromkeys(name for _, parts in buckets for name, _ in parts))
        colours = {name: KNOWN.get(name, COLOURS[n % len(COLOURS)]) for n, name in enumerate(names)}
        most = max((sum(value for _, value in parts) for _, parts in buckets), default=1) or 1
        high, wide = self.height - HEAD - 44, (self.width - 20) / max(1, len(buckets))
        for place, (_, parts) in enumerate(buckets):
            floor = self.y + HEAD + high
            # One order in every bar, so that a colour is a band across the chart.
            for name, value in sorted(parts, key=lambda part: names.index(part[0])):
                tall = high * value / most
                floor -= tall
                self.picture.box(self.x + 10 + place * wide, floor, wide * 0.85, tall, colours[name])
        if buckets:
            base = self.y + HEAD + high + 14
            self.picture.text(self.x + 10, base, buckets[0][0][:10], "fill='#77838f'")
            self.picture.text(self.x + self.width - 80, base, buckets[-1][0][:10], "fill='#77838f'")
        at = self.x + 10
        for name in names:
            label = name.rsplit("\\", 1)[-1][:20]
            if at + 28 + 7 * len(label) > self.x + self.width:
                break
            self.picture.box(at, self.y + self.height - 20, 10, 10, colours[name])
            self.picture.text(at + 14, self.y + self.height - 11, label, "fill='#33404d'")
            at += 28 + 7 * len(label)


def classic(panel: Panel, item: SavedObject, world: World) -> None:
    """Draw a visualization that Dashboards asks for by aggregations."""
    state = item.text("visState")
    body = json.loads(json.dumps(search_of(item)).replace('"fixed_interval": "30m"', '"fixed_interval": "1d"'))
    answer = ask(world, body | {"query": recent(body["query"])})
    total, aggregations = answer["hits"]["total"]["value"], answer["aggregations"]
    buckets = [agg for agg in state["aggs"] if agg["schema"] != "metric"]
    if not buckets:
        numbers = [f"{value_of(aggregations[agg['id']])}" for agg in state["aggs"] if agg["id"] in aggregations]
        panel.picture.text(panel.x + 16, panel.y + 68, f"{total:,}", "style='font-size:34px' fill='#3b6fb6'")
        for number, told in enumerate(numbers):
            panel.row(number + 3, [told], [1])
        return
    first = aggregations[buckets[0]["id"]]["buckets"]
    if buckets[0]["type"] == "date_histogram":
        inner = buckets[1]["id"] if len(buckets) > 1 else ""
        panel.stacks([(b["key_as_string"], parts(b, inner)) for b in first])
    elif state["type"] == "table":
        for number, cells in enumerate(table(first, [b["id"] for b in buckets], aggregations)):
            panel.row(number, cells, [3.0] * len(buckets) + [1.0] + [2.4] * (len(cells) - len(buckets) - 1))
    else:
        panel.bars([(str(b["key"]), b["doc_count"]) for b in first])


def parts(bucket: Answer, inner: str) -> list[tuple[str, float]]:
    if not inner:
        return [("events", bucket["doc_count"])]
    return [(str(part["key"]), part["doc_count"]) for part in bucket[inner]["buckets"]]


def table(buckets: list[Answer], levels: list[str], above: Answer) -> Iterator[list[str]]:
    """Yield the rows of a table panel: the keys of each level, the count, the other metrics."""
    for bucket in buckets:
        if len(levels) > 1:
            for row in table(bucket[levels[1]]["buckets"], levels[1:], bucket):
                yield [str(bucket["key"]), *row]
        else:
            metrics = [value_of(value) for key, value in bucket.items() if isinstance(value, dict) and "value" in value]
            yield [str(bucket["key"]), f"{bucket['doc_count']:,}", *metrics]
    del above


def value_of(metric: Answer) -> str:
    text = metric.get("value_as_string")
    return text[:16].replace("T", " ") if text else f"{metric['value'] or 0:,.0f}"


def vega(panel: Panel, item: SavedObject, world: World) -> None:
    """Draw what a Vega panel asks for: the agents' state as lines, the delays as a chart."""
    asked = vega_of(item)
    if "aggs" not in asked["body"]:
        hits = world.request("POST", f"/{asked['index']}/_search", asked["body"])["hits"]["hits"]
        for number, (key, value) in enumerate(hits[0]["_source"].items()):
            panel.row(number, [key, str(value)], [1, 2])
        return
    answer = world.request("POST", f"/{asked['index']}/_search", asked["body"])["aggregations"]["shipped"]
    found = [(b["key_as_string"], b["delay"]["values"]) for b in answer["time"]["buckets"] if b["doc_count"]]
    panel.stacks([(when, [("99 % arrived within", values["99.0"] or 0)]) for when, values in found])


def rows_of(panel: Panel, item: SavedObject, world: World) -> None:
    """Draw a saved search: its columns, newest first."""
    columns = [str(column) for column in item.attributes["columns"]]
    body = {"size": panel.lines, "sort": [{"created_at": "desc"}], "query": recent(query_of(item))}
    panel.row(0, ["created_at", *columns], [2.2, *(weight(column) for column in columns)])
    for number, hit in enumerate(ask(world, body)["hits"]["hits"], 1):
        source = hit["_source"]
        cells = [str(source["created_at"])[:19].replace("T", " "), *(field(source, column) for column in columns)]
        panel.row(number, cells, [2.2, *(weight(column) for column in columns)])


def weight(column: str) -> float:
    return {"detail": 5.0, "action": 2.4, "module_slug": 2.0, "context.exception": 3.0}.get(column, 1.3)


def field(source: Answer, path: str) -> str:
    value: Any = source
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def recent(query: Answer) -> Answer:
    return {"bool": {"must": [query], "filter": [{"range": {"created_at": {"gte": f"now-{SHOWN_DAYS}d"}}}]}}


def ask(world: World, body: Answer) -> Answer:
    answer: Answer = world.request("POST", f"/{world.index_prefix}/_search", body)
    return answer


def draw(panel: Panel, item: SavedObject, world: World) -> None:
    kind = item.text("visState")["type"] if item.type == "visualization" else "search"
    if kind == "search":
        rows_of(panel, item, world)
    elif kind == "vega":
        vega(panel, item, world)
    elif kind == "markdown":
        for number, line in enumerate(item.text("visState")["params"]["markdown"].splitlines()):
            panel.row(number, [line], [1])
    elif kind == "input_control_vis":
        labels = [control["label"] for control in item.text("visState")["params"]["controls"]]
        panel.row(1, [f"[ {label} ▾ ]" for label in labels], [1.0] * len(labels))
    else:
        classic(panel, item, world)


def main() -> int:
    """Fill a table, ship it, draw every dashboard."""
    with servers.start() as pair, tempfile.TemporaryDirectory() as folder:
        database = Database(pair.mysql_url)
        database.create_table()
        now = datetime.now(UTC)
        database.insert(rows(ROWS, now=now, days=DAYS))
        database.insert(burst(40, at=now - timedelta(minutes=3)))
        world = World(folder=Path(folder), database=database, opensearch_url=pair.opensearch_url)
        try:
            world.run("sync")
            world.refresh()
            text = (ROOT / "dashboards" / "impulse-audit.ndjson").read_text(encoding="utf-8")
            items = for_prefixes(parse(text)[0], index_prefix=world.index_prefix, agent_prefix=world.agent_prefix)
            objects = {item.key: item for item in items}
            for dashboard in (item for item in items if item.type == "dashboard"):
                panels = dashboard.text("panelsJSON")
                height = max(panel["gridData"]["y"] + panel["gridData"]["h"] for panel in panels)
                picture = Picture(48 * CELL + EDGE, height * CELL + EDGE)
                named = {ref["name"]: (ref["type"], ref["id"]) for ref in dashboard.references}
                for placed in panels:
                    item = objects[named[placed["panelRefName"]]]
                    draw(Panel(picture, placed["gridData"], str(item.attributes["title"])), item, world)
                (HERE / f"{dashboard.id.removeprefix('impulse-audit-')}.svg").write_text(picture.svg())
        finally:
            world.remove()
            database.drop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
