"""`dead-letters`: list, show, replay or drop rows the index refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click

from agent.cli.app import Application, now_text
from agent.cli.line import Line
from agent.cli.output import json_option, print_json, print_line
from agent.cli.pause import who
from agent.cli.verification import retaining
from agent.errors import PermanentError
from agent.opensearch.dead_letters import KeptLetter
from agent.retention.journal import Kind

FAILED = 1
_PAGE = 500
_LONGEST_REASON = 160


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show, replay or drop rows the index refused."""


@dead_letters.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(min=1), help="List at most so many.")
@json_option
@click.pass_obj
def list_letters(app: Application, *, limit: int, as_json: bool) -> int:
    """List dead letters by id, with the reason."""
    letters = app.dead_letters.listed(limit=limit)
    count = app.dead_letters.count()
    if as_json:
        shown = [_as_json(kept, with_row=False) for kept in letters]
        print_json({"instance": app.instance, "count": count, "dead_letters": shown})
        return 0
    print_line(f"{count} dead letters of {app.instance}")
    for kept in letters:
        reason = kept.letter.reason[:_LONGEST_REASON]
        print_line(f"{kept.letter.id:>12}  {kept.last_at}  {kept.attempts}x  {kept.letter.kind}: {reason}")
    return 0


@dead_letters.command()
@click.argument("row_id", metavar="ID", type=click.IntRange(min=0))
@json_option
@click.pass_obj
def show(app: Application, *, row_id: int, as_json: bool) -> int:
    """Show one dead letter whole: reason, attempts, and the (redacted) row."""
    kept = _kept(app, row_id)
    if as_json:
        print_json({"instance": app.instance, **_as_json(kept, with_row=True)})
        return 0
    print_line(f"{app.instance}:{row_id}  {kept.letter.kind}: {kept.letter.reason}")
    print_line(f"  {kept.attempts} attempts from {kept.first_at} to {kept.last_at}, partition {kept.letter.partition}")
    for name, value in kept.letter.row.items():
        print_line(f"  {name:<12} {value}")
    return 0


@dead_letters.command()
@click.argument("row_ids", metavar="[ID]...", nargs=-1, type=click.IntRange(min=0))
@json_option
@click.pass_obj
def replay(app: Application, *, row_ids: tuple[int, ...], as_json: bool) -> int:
    """Ship rows again, all dead letters or some; what is indexed now is a dead letter no longer."""
    app.make_ready()
    ids = sorted(set(row_ids)) or [kept.letter.id for kept in _all(app)]
    for row_id in row_ids:
        _kept(app, row_id)
    done = _replayed(app, ids)
    if as_json:
        print_json({"instance": app.instance, **done.as_json()})
    else:
        print_line(
            f"{len(done.indexed)} indexed, {len(done.rejected)} rejected again, {len(done.left)} left as they are"
        )
        for row_id, reason in (done.left | done.rejected).items():
            print_line(f"{row_id:>12}  {reason[:_LONGEST_REASON]}")
    return FAILED if done.left or done.rejected else 0


@dead_letters.command()
@click.argument("row_id", metavar="ID", type=click.IntRange(min=0))
@click.option("--reason", required=True, help="Why; it is journaled.")
@json_option
@click.pass_obj
def drop(app: Application, *, row_id: int, reason: str, as_json: bool) -> int:
    """Give a dead letter up; the journal keeps who did so and why."""
    if not reason.strip():
        raise click.UsageError("--reason must say why")
    kept = _kept(app, row_id)
    app.make_ready()
    what = {"id": row_id, "reason": reason, "kind": kept.letter.kind, "rejected_because": kept.letter.reason[:500]}
    # Written down before it is gone: whatever is interrupted here can be dropped again.
    app.journal.append(Kind.DEAD_LETTER_DROPPED, what, at=now_text(), who=who())
    dropped = app.dead_letters.drop([row_id])
    if as_json:
        print_json({"instance": app.instance, "dropped": dropped, "id": row_id, "reason": reason})
    else:
        print_line(f"dead letter {row_id} dropped: {reason}")
    return 0


@dataclass(slots=True)
class _Replayed:
    indexed: list[int] = field(default_factory=list)
    rejected: dict[int, str] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "replayed": self.indexed,
            "rejected": {str(row_id): reason for row_id, reason in self.rejected.items()},
            "refused": {str(row_id): reason for row_id, reason in self.left.items()},
        }


def _replayed(app: Application, ids: list[int]) -> _Replayed:
    done = _Replayed()
    shipper = Line(app).shipper if ids else None
    max_bytes = app.configuration.settings.tail.bulk_bytes
    expiry = retaining(app).expiry()
    for row_id in ids:
        rows = app.rows.by_ids([row_id]).rows
        if not rows:
            done.left[row_id] = "its row is no longer in the table; `dead-letters drop` gives the letter up"
            continue
        expired = expiry.refused_rows(rows, app.table.shape).get(row_id)
        if expired is not None:
            done.left[row_id] = expired
            continue
        # One row a request: rare enough, and the outcome is that row's alone.
        shipped = shipper.ship(rows, max_bytes).counts if shipper else {}
        if shipped.get("indexed"):
            done.indexed.append(row_id)
        elif shipped.get("refused"):
            done.left[row_id] = "expired: not indexed again"
        else:
            kept = app.dead_letters.get(row_id)
            done.rejected[row_id] = kept.letter.reason if kept else "rejected"
    return done


def _all(app: Application) -> Iterator[KeptLetter]:
    after = -1
    while page := app.dead_letters.listed(limit=_PAGE, after=after):
        yield from page
        after = page[-1].letter.id


def _kept(app: Application, row_id: int) -> KeptLetter:
    kept = app.dead_letters.get(row_id)
    if kept is None:
        remedy = f"`dead-letters list` names them; `explain {row_id}` says where that row is"
        raise PermanentError("no such dead letter", where=app.instance, got=str(row_id), remedy=remedy)
    return kept


def _as_json(kept: KeptLetter, *, with_row: bool) -> dict[str, Any]:
    letter = kept.letter
    found = {
        "id": letter.id,
        "partition": letter.partition,
        "created_at": letter.created_at,
        "kind": letter.kind,
        "reason": letter.reason,
        "attempts": kept.attempts,
        "first_at": kept.first_at,
        "last_at": kept.last_at,
    }
    return found | ({"row": dict(letter.row)} if with_row else {})
