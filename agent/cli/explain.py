"""`explain ID`: where one row is, and why; --document shows what would be sent of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import click
import orjson

from agent.cli.app import Application, now_text
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_json_text, print_line
from agent.cli.verification import calendar, knowledge, retaining, stored_documents, throwaway_builder
from agent.errors import PermanentError
from agent.mapping.partition import Calendar, Period
from agent.mysql.next_id import next_id
from agent.opensearch.dead_letters import KeptLetter
from agent.retention.archive import Archive
from agent.retention.policy import Side
from agent.row import Row
from agent.shipping.partitions import PreparedPartitions
from agent.tailing.gaps import Gap, Progress, Watched
from agent.verifying.deep import differing
from agent.verifying.explanation import Lying, RowFacts, explained, traces
from agent.verifying.findings import MOST_ID
from agent.verifying.knowledge import Reason
from agent.verifying.routing import routes
from agent.verifying.stored import Stored


@click.command()
@click.argument("row_id", metavar="ID", type=click.IntRange(0, MOST_ID))
@click.option("--document", is_flag=True, help="Print the document as it would be sent, and where each field goes.")
@json_option
@click.pass_obj
def explain(app: Application, *, row_id: int, document: bool, as_json: bool) -> int:
    """Tell where one row is, and why."""
    if document:
        return _print_document(app, row_id, as_json=as_json)
    answer = _answer(app, row_id)
    if as_json:
        print_json(answer)
    else:
        _say(answer)
    return 0


def _answer(app: Application, row_id: int) -> dict[str, Any]:
    line = Line(app)
    app.state.refresh_unclaimed()
    line.checkpoint.open()
    progress = line.checkpoint.progress
    row = next(iter(app.rows.by_ids([row_id]).rows), None)
    documents = stored_documents(app)
    documents.refresh()
    lying = list(documents.by_ids([row_id], source=True))
    letter = app.dead_letters.get(row_id)
    facts = _facts(app, row_id, progress, row, lying)
    place, sentence = explained(facts)
    partition = calendar(app).place(cast("str | None", row[1]))[0] if row else None
    return {
        "instance": app.instance,
        "id": row_id,
        "state": str(place),
        "reason": sentence,
        "in_table": row is not None,
        "created_at": facts.created_at,
        "crc": facts.crc,
        "partition": partition,
        "documents": [
            {
                "index": each.index,
                "belongs_there": each.is_right,
                "crc": each.crc,
                "indexed_at": each.indexed_at,
                "version": each.version,
            }
            for each in facts.documents
        ],
        "checksum_equal": all(each.crc == row[-1] for each in facts.documents) if row and facts.documents else None,
        "watermark": progress.watermark,
        "frontier": progress.frontier,
        "gap": list(facts.gap) if facts.gap else None,
        "dead_letter": _letter_json(letter),
        "retention": _retention(app, row, lying),
        "archives": list(facts.archives),
        "journal": [trace.sentence for trace in facts.traces],
    }


def _facts(app: Application, row_id: int, progress: Progress, row: Row | None, lying: list[Stored]) -> RowFacts:
    letter = app.dead_letters.get(row_id)
    source = next((each.source for each in lying if each.source), None) or {}
    return RowFacts(
        id=row_id,
        crc=cast("int", row[-1]) if row else None,
        created_at=cast("str | None", row[1] if row else source.get("created_at")),
        documents=_documents(app, row, source, lying),
        altered=tuple(differing(throwaway_builder(app), row, dict(source))) if row and source else (),
        watermark=progress.watermark,
        frontier=progress.frontier,
        gap=_within(progress.gaps, row_id),
        watched=_within(progress.watch, row_id),
        letter=letter.letter.reason if letter else None,
        absent_because=_absent_because(app, progress, row_id, row, source),
        archives=_archives(app, row_id),
        traces=traces(row_id, app.journal.entries()),
        max_id=app.rows.bounds().max_id,
        next_id=next_id(app.database, app.table),
    )


def _documents(app: Application, row: Row | None, source: Mapping[str, Any], lying: list[Stored]) -> tuple[Lying, ...]:
    documents = stored_documents(app)
    if row is not None:
        own = calendar(app).place(cast("str | None", row[1]))[0]
    else:
        # Without a row the document's own instant has to do, and that is UTC.
        period = cast("Period", app.configuration.settings.opensearch.partition)
        own = Calendar(period).place(str(source.get("created_at"))[:19])[0]
    found = []
    for each in lying:
        agent = (each.source or {}).get("agent") or {}
        found.append(
            Lying(
                index=each.index,
                is_right=documents.is_right(each, own),
                crc=each.crc,
                indexed_at=agent.get("indexed_at"),
                version=agent.get("version"),
            )
        )
    return tuple(found)


def _absent_because(
    app: Application, progress: Progress, row_id: int, row: Row | None, source: Mapping[str, Any]
) -> Reason | None:
    known = knowledge(app, progress)
    known.refresh()
    if row is not None:
        return known.of_rows([row]).get(row_id)
    return known.of_document(row_id, source) if source else None


def _within(spans: tuple[Gap, ...] | tuple[Watched, ...], row_id: int) -> tuple[int, int] | None:
    return next(((span.first, span.last) for span in spans if span.first <= row_id <= span.last), None)


def _archives(app: Application, row_id: int) -> tuple[str, ...]:
    """Return the sealed files that hold the row, also when archiving was switched off since."""
    settings = app.configuration.retention.archive
    if not (settings.directory / app.instance).is_dir():
        return ()
    archive = Archive(settings.directory, instance=app.instance, format=settings.format)
    return tuple(str(path) for path in archive.holding(row_id))


def _retention(app: Application, row: Row | None, lying: list[Stored]) -> dict[str, Any] | None:
    """Say by which rule each side keeps or expires it, under the rules as they are now."""
    policy = retaining(app).expiry().current
    if row is not None:
        facts = policy.facts(dict(zip(app.table.shape.fields, row, strict=False)))
    elif lying and lying[0].source:
        facts = lying[0].source
    else:
        return None
    decisions = {side: policy.decide_on_facts(side, facts) for side in Side}
    return {
        str(side): {"rule": each.rule, "expired": each.expired, "reason": each.reason}
        for side, each in decisions.items()
    }


def _letter_json(letter: KeptLetter | None) -> dict[str, Any] | None:
    if letter is None:
        return None
    return {
        "kind": letter.letter.kind,
        "reason": letter.letter.reason,
        "attempts": letter.attempts,
        "first_at": letter.first_at,
        "last_at": letter.last_at,
    }


def _say(answer: Mapping[str, Any]) -> None:
    print_line(f"{answer['instance']}:{answer['id']}  {answer['state']}: {answer['reason']}")
    there = f"yes, created_at {answer['created_at']}, crc {answer['crc']}" if answer["in_table"] else "no"
    print_line(f"  table       {there}")
    for each in answer["documents"]:
        belongs = "" if each["belongs_there"] else "  (does not belong there)"
        print_line(f"  document    {each['index']}, indexed at {each['indexed_at']} by {each['version']}{belongs}")
    if answer["checksum_equal"] is not None:
        print_line(f"  checksum    {'equal' if answer['checksum_equal'] else 'differs'}")
    gap = f", in open gap {answer['gap'][0]}-{answer['gap'][1]}" if answer["gap"] else ""
    print_line(f"  checkpoint  watermark {answer['watermark']}, frontier {answer['frontier']}{gap}")
    if answer["dead_letter"]:
        letter = answer["dead_letter"]
        print_line(f"  dead letter {letter['kind']}, {letter['attempts']} attempts, last at {letter['last_at']}")
    for side, decision in (answer["retention"] or {}).items():
        said = "expired" if decision["expired"] else "kept"
        print_line(f"  {side:<11} {said} by {decision['rule']}: {decision['reason']}")
    for name in ("archives", "journal"):
        for each in answer[name]:
            print_line(f"  {name:<11} {each}")


def _print_document(app: Application, row_id: int, *, as_json: bool) -> int:
    """Build the document with this process's own catalogue, which is told to nobody."""
    row = next(iter(app.rows.by_ids([row_id]).rows), None)
    if row is None:
        raise PermanentError("no such row", where=app.table.name, got=str(row_id), remedy=f"see `explain {row_id}`")
    PreparedPartitions(app.catalogue, app.partitions).learn()
    known = {field.path for field in app.catalogue.fields()}
    built = app.builder.build(row, now_text())
    found = routes(built.source, app.catalogue.fields(), known)
    if as_json:
        print_json(
            {
                "instance": app.instance,
                "id": row_id,
                "key": built.key,
                "index": app.names.alias(built.partition),
                "document": orjson.Fragment(built.body),
                "fields": {route.path: route.goes_to for route in found},
                "redactions": dict(built.redactions),
            }
        )
        return 0
    print_json_text(built.body.decode())
    print_line(f"sent to {app.names.alias(built.partition)} as {built.key}")
    for route in found:
        print_line(f"  {route.path:<40} {route.goes_to}")
    return 0
