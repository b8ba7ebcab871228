"""What the agent costs, on the demo's servers, side by side with what others cost.

    python -m benchmarks [--quick | --full] [--only PART,PART] [--results FOLDER]

Parts: catch_up, keys, live, gaps, retention, purge, verify, asking, growth.

Each part prints one table and writes one JSON file, with the versions and the hardware. Absolute figures move with the
machine; ratios within one run do not. `--quick` shows in a few minutes that everything still works.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cost import load, machine
from benchmarks.place import Place
from demo import servers
from demo.missing import Missing

PARTS = ("catch_up", "keys", "live", "gaps", "retention", "purge", "verify", "asking", "growth")
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, comma-separated")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round; writes no results")
    parser.add_argument(
        "--full", action="store_true", help="also a million rows of catch-up and of purge, and five of growth"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the JSON goes")
    asked = parser.parse_args()
    parts = asked.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    servers.stop_on_sigterm()
    try:
        pair = servers.start(heap="1g")
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    with pair:
        place = Place(servers=pair, quick=asked.quick, full=asked.full, say=lambda text: print(text, file=sys.stderr))
        about = machine(place.versions())
        print(json.dumps(about, ensure_ascii=False))
        for part in parts:
            _measure(part, place, about, None if asked.quick else asked.results)
    return 0


def _measure(part: str, place: Place, about: dict[str, Any], results: Path | None) -> None:
    module = importlib.import_module(f"benchmarks.{part}")
    before = load()
    found = module.measure(place)
    print(f"\n{part}\n{_table(module.TABLE, found)}", flush=True)
    if results is None:
        return
    results.mkdir(exist_ok=True)
    content = {
        "part": part,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": [before, load()],
        "machine": about,
        "figures": found,
    }
    (results / f"{part}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _table(columns: tuple[str, ...], entries: list[dict[str, Any]]) -> str:
    lines = [list(columns), *([_shown(entry.get(column, "")) for column in columns] for entry in entries)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}".replace(",", " ")
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
