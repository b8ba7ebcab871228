"""`fields`: the catalogue of context fields, and what did not get into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from agent.cli.app import Application
from agent.cli.output import json_option, print_json, print_line
from agent.shipping.partitions import PreparedPartitions
from agent.verifying.overflowed import OverflowedPath, overflowed_paths

PARTITIONS_SHOWN = 3


@click.command()
@json_option
@click.pass_obj
def fields(app: Application, *, as_json: bool) -> int:
    """List the catalogue of context fields: path, kinds, type, first seen; and what went to the overflow, and why."""
    PreparedPartitions(app.catalogue, app.partitions).learn()
    types = _types_by_partition(app)
    found = [
        {
            "path": field.path,
            "kinds": list(field.kinds),
            "type": field.native or "keyword",
            "native": field.native is not None,
            "first_seen": field.first_seen,
            "differs_in": _differing(field.path, field.native or "keyword", types),
        }
        for field in app.catalogue.fields()
    ]
    overflow = overflowed_paths(app.search)
    if as_json:
        context = app.configuration.settings.context
        print_json(
            {
                "instance": app.instance,
                "fields": found,
                "used": app.catalogue.paths,
                "max_fields": context.max_fields,
                "overflow": [
                    {"path": each.path, "documents": each.documents, "reasons": list(each.reasons)} for each in overflow
                ],
            }
        )
    else:
        _say(app, found, overflow)
    return 0


def _types_by_partition(app: Application) -> dict[str, dict[str, str]]:
    """Return, by partition, the type of each context path its mapping knows."""
    found = {}
    for partition in app.partitions.listed():
        if partition.current and not partition.closed:
            context = (app.partitions.mapping(partition.name) or {}).get("context", {})
            found[partition.name] = dict(_typed(context, ""))
    return found


def _typed(mapping: Mapping[str, Any], above: str) -> list[tuple[str, str]]:
    found = []
    for key, each in mapping.get("properties", {}).items():
        path = f"{above}.{key}" if above else key
        found += [(path, str(each.get("type", "object"))), *_typed(each, path)]
    return found


def _differing(path: str, wanted: str, types: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the partitions that hold a path otherwise, or not at all although others do."""
    return {name: known.get(path, "unmapped") for name, known in types.items() if known.get(path) != wanted}


def _say(app: Application, found: list[dict[str, Any]], overflow: list[OverflowedPath]) -> None:
    limit = app.configuration.settings.context.max_fields
    print_line(f"{app.catalogue.paths} of {limit} paths of {app.instance} are mapped")
    width = max([len(field["path"]) for field in found] + [len(each.path) for each in overflow], default=0)
    for field in found:
        kinds = field["type"] if field["native"] else "+".join(field["kinds"])
        line = f"  {field['path']:<{width}}  {kinds:<14} since {field['first_seen'] or 'the beginning'}"
        differing = list(field["differs_in"].items())
        if differing:
            line += "  but " + ", ".join(f"{kind} in {name}" for name, kind in differing[:PARTITIONS_SHOWN])
            line += f" and {len(differing) - PARTITIONS_SHOWN} more" if len(differing) > PARTITIONS_SHOWN else ""
        print_line(line)
    if any("unmapped" not in field["differs_in"].values() and field["differs_in"] for field in found):
        print_line("`rebuild` gives old partitions today's types")
    if overflow:
        print_line("not mapped, found through context_overflow and context_text:")
    for each in overflow:
        print_line(f"  {each.path:<{width}}  {each.documents} documents: {', '.join(each.reasons)}")
