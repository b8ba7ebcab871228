"""Realistic audit rows: any number, over any span, the same for the same seed.

Deck: a pack of cards (one an action and share), dealt to the end and shuffled again, so that every
      action, module, source, severity and shape of context is in every thousand rows
rows: cards spread evenly over the span, in order of time, with streaks of one failing cron task between
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from pymysql.converters import escape_string

from demo import failures, php
from demo.actions import ACTIONS, TASK_FAILED, Action
from demo.failures import FAILURES, Failure
from demo.install import ADMINS, Install
from demo.table import TABLE

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

# Rows of one multi-row INSERT: about a megabyte, far below any max_allowed_packet.
INSERT_ROWS = 2000
_FAILURE_CARDS = 60
_ODD_CARDS = 12
_STREAK_SHARE = 0.08


class AuditRow(NamedTuple):
    """Hold one row without its id, which the table gives. The names are the columns, in order."""

    created_at: str
    module_slug: str
    source: str
    action: str
    severity: str
    service_id: int | None
    admin_id: int | None
    client_id: int | None
    ip_address: str | None
    detail: str | None
    context: str | None


COLUMNS = AuditRow._fields


class Deck:
    """Deal rows without end. `json_only` leaves out contexts that are no JSON, which a JSON column refuses."""

    def __init__(self, *, seed: int = 1, json_only: bool = False) -> None:
        self.rng = Random(seed)
        self.install = Install(self.rng)
        self._json_only = json_only
        self._odd = 0
        self._streak: tuple[Failure, int] = (FAILURES[0], 0)
        self._cards: list[Action | Failure | None] = [
            *(action for action in ACTIONS for _ in range(action.share)),
            *(FAILURES[number % len(FAILURES)] for number in range(_FAILURE_CARDS)),
            *(None for _ in range(_ODD_CARDS)),
        ]
        self._left = 0

    def row(self, at: str) -> AuditRow:
        """Deal the next row, as of `at` (`YYYY-MM-DD HH:MM:SS`)."""
        failure, left = self._streak
        if left:
            self._streak = (failure, left - 1)
            return self.failure(at, failure, attempt=left)
        card = self._deal()
        if isinstance(card, Action):
            return self._action(at, card)
        if card is None:
            return self._odd_one(at)
        if self.rng.random() < _STREAK_SHARE:
            self._streak = (card, 5 + self.install.number(30))
        return self.failure(at, card)

    def failure(self, at: str, failure: Failure, *, attempt: int = 1) -> AuditRow:
        """Return the row of a cron task that threw."""
        context = failures.context_of(failure, self.install, attempt=attempt)
        detail = f"{failure.task} failed on node-{context['server']['id']}: {failure.exception}"
        return AuditRow(
            at, failure.module_slug, "cron", TASK_FAILED, "error", None, None, None, None, detail, php.encode(context)
        )

    def _deal(self) -> Action | Failure | None:
        if not self._left:
            self.rng.shuffle(self._cards)
            self._left = len(self._cards)
        self._left -= 1
        return self._cards[self._left]

    def _action(self, at: str, action: Action) -> AuditRow:
        install = self.install
        install.draw_service()
        source = install.one_of(action.sources)
        admin = install.one_of(ADMINS) if source == "admin" else None
        about = action.about_service
        # Core fills the ids from the request: a cron row often has them in its context only.
        named = about and (source != "cron" or install.rng.random() < 0.5)
        return AuditRow(
            at,
            install.one_of(action.modules),
            source,
            action.name,
            action.severity,
            install.service_id if named else None,
            admin,
            install.client_id if named else None,
            self._address(source),
            action.detail.replace("{service}", str(install.service_id)).replace("{client}", str(install.client_id)),
            php.encode(action.shape(install)),
        )

    def _address(self, source: str) -> str | None:
        if source == "customer":
            return self.install.client_address()
        return self.install.any_address() if source == "admin" else None

    def _odd_one(self, at: str) -> AuditRow:
        """Return a row as it should not be but is met: no context, encoded twice, cut off by a TEXT column."""
        row = self._action(at, ACTIONS[self.install.number(len(ACTIONS))])
        whole = row.context or ""
        odd = (None, php.encode(whole), "[]", "null", "", whole[: len(whole) // 2] or "{", "{broken")
        self._odd += 1
        context = odd[self._odd % (4 if self._json_only else len(odd))]
        return row._replace(context=context, detail=row.detail if self._odd % 2 else None)


def rows(count: int, *, now: datetime, seed: int = 1, days: float = 120, json_only: bool = False) -> Iterator[AuditRow]:
    """Yield `count` rows of the `days` before `now` (UTC), oldest first."""
    deck = Deck(seed=seed, json_only=json_only)
    start = now.replace(microsecond=0, tzinfo=None) - timedelta(days=days)
    step = days * 86_400 / max(count, 1)
    random = deck.rng.random
    for number in range(count):
        at = start + timedelta(seconds=int((number + random()) * step))
        yield deck.row(str(at))


def burst(
    count: int, *, at: datetime, seed: int = 1, failure: Failure = failures.TIMED_OUT, seconds: float = 60
) -> Iterator[AuditRow]:
    """Yield a task failing over and over, within the `seconds` before `at` (UTC)."""
    deck = Deck(seed=seed)
    end = at.replace(microsecond=0, tzinfo=None)
    for number in range(count):
        when = end - timedelta(seconds=int(seconds * (count - 1 - number) / max(count, 1)))
        yield deck.failure(str(when), failure, attempt=number + 1)


def insert(connection: Connection[Cursor], content: Iterable[AuditRow], *, table: str = TABLE) -> int:
    """Insert rows, `INSERT_ROWS` a statement, and return how many; ids are the table's."""
    head = f"INSERT INTO `{table}` ({', '.join(COLUMNS)}) VALUES "
    source = iter(content)
    total = 0
    with connection.cursor() as cursor:
        while some := list(islice(source, INSERT_ROWS)):
            cursor.execute(head + ",".join(map(_literal, some)))
            total += len(some)
    connection.commit()
    return total


def _literal(row: AuditRow) -> str:
    # Our own values only: text, whole numbers and None. Much faster than binding each of eleven million values.
    values = (
        "NULL" if value is None else f"'{escape_string(value)}'" if isinstance(value, str) else str(value)
        for value in row
    )
    return f"({','.join(values)})"
