"""The source under a running daemon: another server behind the same address, a table that is altered."""

from __future__ import annotations

import pytest

from agent.cli import line as line_module
from agent.errors import PermanentError
from tests.unit.shipping.daemon import Running


def test_a_server_that_was_restarted_between_two_polls_is_looked_at_before_it_is_read(running: Running) -> None:
    running.source.add(5)
    running.run_for(5)
    running.source.restarts += 1
    del running.source.rows[2:]
    with pytest.raises(PermanentError, match="fewer ids"):
        running.run_for(2)


def test_a_table_altered_again_and_again_during_a_catch_up_loses_nothing(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_module, "SOURCE_CHECK_SECONDS", -1.0)
    monkeypatch.setattr(line_module, "look_again", lambda _app: True)
    running.source.add(7000)
    said = running.run_for(60)
    assert running.watermark == 7000
    assert len(running.cluster.documents()) == 7000
    assert any("source.table_altered" in line for line in said)
