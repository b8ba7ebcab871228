"""A table as InnoDB shows it: ids are reserved at INSERT, rows become visible at COMMIT, in any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.errors import TemporaryError
from agent.row import Row


@dataclass
class Transaction:
    """One open transaction: what it reserved and what it has inserted so far."""

    name: str
    reserved: list[int] = field(default_factory=list)
    inserted: list[int] = field(default_factory=list)


@dataclass
class FakeBatch:
    """Rows in id order, and whether more may follow."""

    rows: list[Row]
    is_complete: bool


class FakeTable:
    """Transactions over one auto-increment table, with the tail's way of reading it."""

    def __init__(self, increment: int = 1) -> None:
        self.increment = increment
        self.next_id = 1
        self.committed: set[int] = set()
        self.ever_committed: set[int] = set()
        self.open: dict[str, Transaction] = {}
        self.begun = 0
        self.reads = 0
        self.meanwhile: list[list[Callable[[], None]]] = []

    def pass_time(self) -> None:
        """Let the next pending things happen, as writers act between any two statements of the agent."""
        if self.meanwhile:
            for act in self.meanwhile.pop(0):
                act()

    def begin(self) -> str:
        """Open a transaction that will write to the table; its name is never used again."""
        self.begun += 1
        name = f"t{self.begun}"
        self.open[name] = Transaction(name)
        return name

    def reserve(self, name: str, rows: int = 1) -> list[int]:
        """Start an INSERT of several rows: all its ids are reserved before any row exists."""
        ids = [self.next_id + n * self.increment for n in range(rows)]
        self.next_id = ids[-1] + self.increment
        self.open[name].reserved += ids
        return ids

    def commit(self, name: str) -> None:
        """Make the transaction's rows visible."""
        ids = self.open.pop(name).reserved
        self.committed.update(ids)
        self.ever_committed.update(ids)

    def roll_back(self, name: str) -> None:
        """Drop the transaction; its ids are lost for good."""
        del self.open[name]

    def insert(self, rows: int = 1) -> list[int]:
        """Insert and commit at once."""
        name = self.begin()
        ids = self.reserve(name, rows)
        self.commit(name)
        return ids

    def delete(self, row_id: int) -> None:
        """Delete a committed row, as Core's own purge does."""
        self.committed.discard(row_id)

    def alive(self) -> frozenset[str]:
        """Name the transactions that hold a write lock on the table: those that have touched it."""
        return frozenset(name for name, transaction in self.open.items() if transaction.reserved)

    def after(self, row_id: int, limit: int, max_bytes: int) -> FakeBatch:
        """Read rows above an id."""
        del max_bytes
        self.pass_time()
        self.reads += 1
        ids = sorted(i for i in self.committed if i > row_id)
        return FakeBatch([_row(i) for i in ids[:limit]], is_complete=len(ids) <= limit)

    def in_ranges(self, ranges: Sequence[tuple[int, int]], limit: int, max_bytes: int) -> FakeBatch:
        """Read rows within ranges."""
        del max_bytes
        self.pass_time()
        self.reads += 1
        ids = sorted(i for i in self.committed if any(first <= i <= last for first, last in ranges))
        return FakeBatch([_row(i) for i in ids[:limit]], is_complete=len(ids) <= limit)


def _row(row_id: int) -> Row:
    return (row_id, "2026-11-23 21:04:05", row_id * 7919 % 2**32)


@dataclass
class FakeAvailability:
    """Whether a probe works, and why."""

    ok: bool
    reason: str


class FakeProbe:
    """Evidence straight from the fake table; can be taken away."""

    def __init__(self, table: FakeTable, name: str = "metadata_locks") -> None:
        self.table = table
        self.name = name
        self.lost: Exception | None = None

    def available(self) -> FakeAvailability:
        """Say whether the probe works; a server that is away cannot be asked."""
        if isinstance(self.lost, TemporaryError):
            raise self.lost
        return FakeAvailability(self.lost is None, "works" if self.lost is None else str(self.lost))

    def holders(self) -> frozenset[str]:
        """Return the open writers, or raise what it was told to."""
        self.table.pass_time()
        if self.lost is not None:
            raise self.lost
        return frozenset(f"{self.name}:{name}" for name in self.table.alive())
