"""A process that is asked to end: the first signal asks, the second ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from agent.stop_signals import stop_on_signals

SIGNALLED = """
import threading, time
from agent.stop_signals import stop_on_signals
stop = threading.Event()
with stop_on_signals(stop, lambda name: print(f"told {name}\\n", end="", flush=True)):
    print("ready", flush=True)
    stop.wait()
    print("draining\\n", end="", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(("first", "second"), [("SIGTERM", "SIGTERM"), ("SIGINT", "SIGTERM"), ("SIGTERM", "SIGINT")])
def test_the_first_signal_asks_and_the_second_ends_at_once(first: str, second: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SIGNALLED], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as it:
        assert it.stdout
        assert it.stdout.readline() == b"ready\n"
        os.kill(it.pid, getattr(signal, first))
        assert {it.stdout.readline(), it.stdout.readline()} == {f"told {first}\n".encode(), b"draining\n"}
        os.kill(it.pid, getattr(signal, second))
        assert it.wait(10) == -getattr(signal, second)


def test_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_on_signals(threading.Event(), lambda _name: None):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


class Guarded(threading.Event):
    """An event whose `set` needs a lock, as the one of the library does; the lock can be held from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def set(self) -> None:
        assert self.lock.acquire(timeout=10), "a handler waits for what the thread it interrupted holds"
        super().set()
        self.lock.release()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_midst_of_waiting_or_writing_is_not_a_deadlock(number: signal.Signals) -> None:
    stop, said = Guarded(), []
    with stop_on_signals(stop, said.append):
        with stop.lock:
            signal.raise_signal(number)
            assert said == [], "nothing is written while the thread that was interrupted may be writing"
        assert stop.wait(10)
    assert said == [number.name]


HURRIED = """
import threading
from agent.stop_signals import stop_on_signals
stop = threading.Event()
with stop_on_signals(stop, lambda name: None):
    print("ready", flush=True)
    while not stop.wait(0):
        pass
"""


def test_a_signal_is_heard_wherever_it_meets_a_wait() -> None:
    processes = [subprocess.Popen([sys.executable, "-c", HURRIED], stdout=subprocess.PIPE) for _ in range(8)]
    try:
        for each in processes:
            assert each.stdout and each.stdout.readline() == b"ready\n"
            each.terminate()
        assert [each.wait(30) for each in processes] == [0] * 8
    finally:
        for each in processes:
            each.kill()
            each.communicate()
