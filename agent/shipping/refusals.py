"""Items that were not indexed: whether the cluster or the document is at fault, and the ladder of the latter.

    deferred ──▶ TemporaryError: the cluster's fault, all of it again
       │ (an error inside the server, again and again)
       ▼
    rejected ──▶ rung by rung ──▶ taken
                      └──▶ dead letter

Nothing of the cluster's is ever put on a document. What the server calls an error of its own may still be a
document it breaks on; that is believed only after several tries, and only while the very shard that fails on the
document, on every rung of the ladder, takes another write right after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace

from agent.errors import TemporaryError
from agent.mapping.document import Document, DocumentBuilder
from agent.mapping.ladder import Rung, next_rung
from agent.opensearch.answers import deferral
from agent.opensearch.bulk import Outcome, Verdict
from agent.opensearch.dead_letters import DeadLetter, DeadLetters
from agent.row import Row, Value
from agent.shipping.partitions import PreparedPartitions
from agent.shipping.requests import Request, Requests

# Fewer than `sync` makes before it gives up, so that it too gets past a document the server breaks on.
TRIES_BEFORE_SUSPICION = 4
SERVER_ERROR = "server_error"
_MISPLACED_KINDS = frozenset({"missing_alias", "missing_index", "alias_ambiguous"})


class Refusals:
    """Decide about items that were not indexed. Belongs to the thread that prepares documents."""

    def __init__(
        self,
        *,
        builder: DocumentBuilder,
        partitions: PreparedPartitions,
        requests: Requests,
        dead_letters: DeadLetters,
        now: Callable[[], str],
    ) -> None:
        self._builder = builder
        self._partitions = partitions
        self._requests = requests
        self._dead_letters = dead_letters
        self._now = now
        self._failed: Counter[Value] = Counter()
        self._highest_letter: int | None = None

    def settle(self, request: Request, outcomes: Mapping[int, Outcome]) -> list[str]:
        """Bring every item to an end; return of what kind the dead letters are.

        Raises TemporaryError, before anything is done about a document, when the cluster deferred some.
        """
        self._defer(request, outcomes)
        dead = {
            position: kind
            for position, outcome in outcomes.items()
            if (kind := self._climb(request.rows[position], outcome)) is not None
        }
        self._forgive(request.ids)
        self._clear(request, dead)
        return list(dead.values())

    def _defer(self, request: Request, outcomes: Mapping[int, Outcome]) -> None:
        """Raise for the first item that the cluster has to heal; look again at partitions that were not in place."""
        found: Outcome | None = None
        for position, outcome in outcomes.items():
            row = request.rows[position]
            if outcome.verdict is not Verdict.DEFERRED or self._is_suspect(row, outcome):
                continue
            if outcome.kind in _MISPLACED_KINDS:
                self._partitions.forget(self._builder.partition_of(row))
            found = found or outcome
        if found is not None:
            raise _deferral(found)

    def _is_suspect(self, row: Row, outcome: Outcome) -> bool:
        """Count a try on which the server failed by itself; say whether there were enough to look closer."""
        if outcome.kind != SERVER_ERROR:
            return False
        self._failed[row[0]] += 1
        return self._failed[row[0]] >= TRIES_BEFORE_SUSPICION

    def _forgive(self, ids: Iterable[int]) -> None:
        for row_id in ids if self._failed else ():
            self._failed.pop(row_id, None)

    def _clear(self, request: Request, dead: Container[int]) -> None:
        """Drop the letters of rows that the index takes now: they were read again, and are dead no longer."""
        if self._highest_letter is None:
            # Asked once: rows above the last letter, all that a tail reads but after a restart, cost nothing then.
            self._highest_letter = self._dead_letters.highest_id() or 0
        if not request.ids or min(request.ids) > self._highest_letter:
            return
        taken = {int(row[0] or 0) for position, row in enumerate(request.rows) if position not in dead}
        old = self._dead_letters.ids_between(min(request.ids), max(request.ids)) & taken
        if old:
            self._dead_letters.drop(old)

    def _climb(self, row: Row, outcome: Outcome) -> str | None:
        """Try a row's document rung by rung; return of what it became a dead letter, None when it was taken."""
        self._partitions.reread(self._builder.partition_of(row))
        rung: Rung | None = next_rung(Rung.NORMAL)
        while rung is not None:
            again = self._builder.build(row, self._now(), rung)
            self._partitions.ready({again.partition})
            refusal = self._requests.send_one(again)
            if refusal is None:
                return None
            outcome = refusal
            if outcome.verdict is Verdict.DEFERRED and not self._fails_on_it_alone(again, outcome):
                # The tries so far say nothing about the document then.
                self._failed.clear()
                raise _deferral(outcome)
            rung = next_rung(rung)
        if outcome.kind == "field_limit":
            # Not the document's fault after all: with everything but raw text gone, the index itself is full.
            raise _deferral(outcome)
        self._keep(self._builder.build(row, self._now()), outcome)
        return outcome.kind

    def _fails_on_it_alone(self, document: Document, outcome: Outcome) -> bool:
        return outcome.kind == SERVER_ERROR and self._requests.finds_shard_working(document)

    def _keep(self, document: Document, outcome: Outcome) -> None:
        """Keep a dead letter; of a row that is too large for that as well, the letter says where to find it."""
        letter = DeadLetter(
            id=document.id,
            partition=document.partition,
            created_at=document.created_at,
            kind=outcome.kind,
            reason=outcome.reason,
            row=document.source,
        )
        if self._highest_letter is not None:
            self._highest_letter = max(self._highest_letter, letter.id)
        try:
            self._dead_letters.put([letter], self._now())
        except TemporaryError as failure:
            if failure.kind != "too_large":
                raise
            row = {"id": letter.id, "created_at": letter.created_at, "omitted": "too large: the table has it"}
            self._dead_letters.put([replace(letter, row=row)], self._now())


def _deferral(outcome: Outcome) -> TemporaryError:
    return deferral(outcome.kind, outcome.reason, where="POST /_bulk")
