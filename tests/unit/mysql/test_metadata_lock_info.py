"""Locks of MariaDB's plugin are told apart by the server's clock, whatever becomes of it, of ours and of the session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agent.errors import PermanentError, TemporaryError
from agent.mysql.engine import Database
from agent.mysql.metadata_lock_info import MetadataLockInfo
from agent.mysql.schema import Table

TABLE = cast(Table, SimpleNamespace(schema="whmcs", name="log", is_case_sensitive=True))


@dataclass
class Server:
    """A server with a clock of its own and threads that hold locks; it shows what the plugin would."""

    now: float = 1000.0
    taken: dict[int, float] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    shows_user_locks: bool = True
    answer_takes: float = 0.0

    server_version = "10.11.6-MariaDB"

    @contextmanager
    def connection(self) -> Iterator[Server]:
        yield self

    def rows(self, sql: str, _params: object = ()) -> list[tuple[Any, ...]]:
        assert sql == "XA RECOVER"
        return []

    def dedicated_connection(self) -> Session:
        self.sessions.append(Session(self))
        return self.sessions[-1]


@dataclass
class Session:
    server: Server
    taken: float = 0.0
    is_open: bool = True

    def row(self, _sql: str) -> tuple[int]:
        self.taken = self.server.now
        return (1,)

    def rows(self, _sql: str, _params: object) -> list[tuple[int, int, int]]:
        if not self.is_open:
            raise TemporaryError("gone")
        locks = [(thread, 0, since) for thread, since in self.server.taken.items()]
        if self.server.shows_user_locks:
            locks.append((99, 1, self.taken))
        answer = []
        for thread, is_origin, since in locks:
            answer.append((thread, is_origin, int((self.server.now - since) * 1000)))
            self.server.now += self.server.answer_takes
        return answer

    def close(self) -> None:
        self.is_open = False


class Agent:
    """The probe, and the agent's own clock: as fast as the server's unless a test says otherwise."""

    def __init__(self) -> None:
        self.server = Server()
        self.offset = 0.0
        clock = lambda: self.server.now + self.offset  # noqa: E731
        self.probe = MetadataLockInfo(cast(Database, self.server), TABLE, monotonic=clock)


@pytest.fixture
def agent() -> Agent:
    return Agent()


def test_a_lock_keeps_its_name_and_a_later_one_of_the_same_thread_has_another(agent: Agent) -> None:
    server = agent.server
    server.taken[7] = server.now - 30
    first = agent.probe.holders()
    server.now += 60
    assert agent.probe.holders() == first
    server.taken[7] = server.now
    server.now += 0.5
    assert not agent.probe.holders() & first


def test_a_server_that_stands_still_while_its_machine_is_copied_changes_no_name(agent: Agent) -> None:
    agent.server.taken[7] = agent.server.now - 30
    first = agent.probe.holders()
    agent.offset += 20  # twenty seconds of ours were none of the server's
    agent.server.now += 0.2
    assert agent.probe.holders() == first


def test_an_answer_that_took_long_changes_no_name(agent: Agent) -> None:
    agent.server.taken |= dict.fromkeys(range(5), agent.server.now - 30)
    agent.server.answer_takes = 0.4
    first = agent.probe.holders()
    agent.server.answer_takes = 0.0
    assert agent.probe.holders() == first
    agent.server.answer_takes = 0.4
    assert agent.probe.holders() == first


def test_a_session_that_was_ended_between_two_samples_lets_no_lock_go(agent: Agent) -> None:
    agent.server.taken[7] = agent.server.now - 30
    first = agent.probe.holders()
    agent.server.sessions[-1].is_open = False
    agent.server.now += 5
    assert agent.probe.holders() == first
    agent.server.now += 5
    assert agent.probe.holders() == first
    del agent.server.taken[7]
    assert agent.probe.holders() == frozenset()


def test_no_session_is_kept_when_nobody_holds_anything(agent: Agent) -> None:
    agent.server.taken[7] = agent.server.now
    agent.probe.holders()
    assert agent.server.sessions[-1].is_open
    agent.server.taken.clear()
    agent.probe.holders()
    assert not agent.server.sessions[-1].is_open


def test_a_plugin_that_does_not_show_our_own_lock_is_no_witness(agent: Agent) -> None:
    agent.server.shows_user_locks = False
    with pytest.raises(PermanentError, match="evidence is lost"):
        agent.probe.holders()
    assert not agent.server.sessions[-1].is_open
