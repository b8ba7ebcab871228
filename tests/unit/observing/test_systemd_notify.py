"""The word to systemd."""

from __future__ import annotations

import os
import socket

import pytest

from agent.observing.systemd import Systemd


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    """Listen as systemd does, and give the NOTIFY_SOCKET to reach it."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0audit-agent-{os.getpid()}" if request.param == "abstract" else "notify")
        listener.settimeout(10)
        address = f"@audit-agent-{os.getpid()}" if request.param == "abstract" else "notify"
        yield listener, {"NOTIFY_SOCKET": address}


def test_each_message_is_one_datagram(manager):
    listener, environ = manager
    systemd = Systemd(environ)
    assert systemd.ready()
    assert systemd.status("shipping, lag 0.4 s")
    assert systemd.alive()
    assert systemd.stopping()
    assert [listener.recv(1000) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=shipping, lag 0.4 s",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_status_cannot_smuggle_in_another_assignment(manager):
    listener, environ = manager
    Systemd(environ).status("bad\nMAINPID=1")
    assert listener.recv(1000) == b"STATUS=bad\\nMAINPID=1"


def test_without_a_manager_nothing_is_sent():
    assert not Systemd({}).ready()


def test_a_manager_that_went_away_is_no_error(tmp_path):
    assert not Systemd({"NOTIFY_SOCKET": str(tmp_path / "gone")}).alive()
