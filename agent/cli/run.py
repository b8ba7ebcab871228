"""`run`: the daemon, wired. What happens when is `agent.daemon`; what is told about it is `agent.cli.reporting`."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import click

from agent import __version__
from agent.cli.app import Application, now_text
from agent.cli.jobs import Jobs
from agent.cli.line import Line
from agent.cli.reporting import Reporting
from agent.daemon import Daemon, Steps
from agent.errors import AgentError, ConfigError, PermanentError, TemporaryError
from agent.observing.events import Event
from agent.observing.health import State
from agent.observing.http import HttpServer
from agent.observing.metrics import CONTENT_TYPE
from agent.state import LeaseLost
from agent.stop_signals import stop_on_signals

MEASURE_SECONDS = 2.0
TEMPLATES_SECONDS = 300
DEAD_LETTERS_SECONDS = 60
LAST_WORDS_SECONDS = 5.0


@click.command()
@click.pass_obj
def run(app: Application) -> int:
    """Run the daemon: tail, keep retention, verify, answer health checks."""
    app.log.say(Event.AGENT_STARTED, version=__version__, instance=app.instance, holder=app.holder)
    try:
        _ship_until_told(app)
    except (ConfigError, PermanentError) as error:
        # The log may be read by a machine: what ends it is an event like any other.
        app.log.say(Event.AGENT_REFUSED, error=app.log.mask(str(error)))
        return 2 if isinstance(error, ConfigError) else 1
    app.log.say(Event.AGENT_STOPPED, reason="told to")
    return 0


def _ship_until_told(app: Application) -> None:
    for weakness in app.configuration.settings.weaknesses():
        app.log.say(Event.CONFIG_INSECURE, what=weakness)
    stop = threading.Event()
    shipping = Shipping(app)
    # Before the database is asked: a probe has its answer at once, also while a connection is waited for in vain.
    server = _http_server(app, shipping.reporting)

    def stopping(name: str) -> None:
        app.log.say(Event.AGENT_STOPPING, signal=name)
        shipping.reporting.systemd.stopping()

    signal.signal(signal.SIGHUP, lambda *_: shipping.jobs.reload())
    try:
        with stop_on_signals(stop, stopping):
            _refuse_wrong_configuration(app)
            if not stop.is_set():
                shipping.reporting.systemd.ready()
            shipping.daemon(stop).run()
    except PermanentError as error:
        shipping.gave_up(error)
        raise
    finally:
        shipping.line.close()
        if server:
            server.close()


class Shipping:
    """The steps of one daemon, and what they tell."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self.line = Line(app, took=self._took)
        self.reporting = Reporting(app.instance, app.log, self.line.published)
        self.jobs = Jobs(app, self.line, self.reporting)
        self._leading = False
        self._is_heard = True
        self._measured_at = float("-inf")

    def daemon(self, stop: threading.Event) -> Daemon:
        """Return the loop over these steps."""
        self.line.stopping = stop.is_set
        steps = Steps(lead=self.lead, tail=self.tail, beat=self.beat, drain=self.drain, release=self.release)
        daemon = Daemon(
            steps=steps,
            reporter=self.reporting,
            stop=stop,
            poll_seconds=self._app.configuration.settings.tail.poll_seconds,
            clock=time.monotonic,
            draw=random.random,
        )
        self.jobs.schedule(daemon)
        daemon.every(TEMPLATES_SECONDS, "templates", self._in_peace(self._restore_templates))
        daemon.every(DEAD_LETTERS_SECONDS, "dead letters", self._in_peace(self._count_dead_letters))
        return daemon

    def lead(self) -> bool:
        """Say whether this process may ship, taking the lease when it is free."""
        self._is_heard = True
        held = self.line.lease.held()
        if not held:
            # Its session has ended, perhaps with the server: behind the same address another one may answer by now.
            self.line.suspect_source()
            held = self.line.lease.acquire()
        if not held:
            self.reporting.standing_by(was_leading=self._leading)
            self._leading = False
            return False
        if not self._leading:
            lost = self.line.take_over()
            self._leading = True
            self.reporting.leading(lost, self.line.checkpoint.progress, self.line.evidence.rung)
            self._count_dead_letters()
        return True

    def tail(self) -> bool:
        """Do one step, unless a person paused the tail; say whether it caught up."""
        try:
            return self._paused() or self._step()
        except LeaseLost:
            self._leading = False
            raise
        except (TemporaryError, ConfigError):
            # Behind the same address another server may answer by now, and the table may have lost a column.
            self.line.suspect_source()
            raise

    def beat(self) -> None:
        """Show life: to the service manager, and in the state document while the cluster answers."""
        self.reporting.alive()
        self._follow_lag()
        # The next step meets the same failure and reports it; until then a cluster that did not take a beat is left
        # in peace.
        if self._leading and self._is_heard:
            self._is_heard = False
            with suppress(AgentError):
                self.line.checkpoint.beat()
                self._is_heard = True

    def drain(self) -> None:
        """Take in what is in flight."""
        # What is under way keeps its time; what is said last must not keep a process that was told to end.
        self._app.cluster.hurry(LAST_WORDS_SECONDS)
        step = self.line.tail.drain()
        self.reporting.stepped(step, self.line.checkpoint.progress)

    def release(self) -> None:
        """Say that nobody ships any more, and give the lease back."""
        try:
            if self._leading:
                self.line.finish("stopped by a signal")
        finally:
            self.line.lease.release()

    def gave_up(self, error: PermanentError) -> None:
        """Say in the state document and to probes why only a person can go on."""
        reason = self._app.log.mask(str(error))
        self.reporting.systemd.stopping()
        self.reporting.health.stopped(time.monotonic(), reason)
        try:
            self._app.state.update(lambda _: {"state": "stopped", "reason": reason, "heartbeat": now_text()})
        except AgentError:
            # The log says it as well; the state document may be the very thing that is damaged.
            return

    def _step(self) -> bool:
        self.reporting.lost(self.line.follow_source())
        step = self.line.tail.step()
        if step.evidence_changed:
            self.reporting.evidence_changed(self.line.evidence.rung)
        self.reporting.stepped(step, self.line.checkpoint.progress)
        if step.caught_up:
            self.reporting.lagging(0.0, 0)
        else:
            self._measure()
        return step.caught_up

    def _paused(self) -> bool:
        if self._app.state.refresh():
            self.line.checkpoint.open()
            self.line.tail.forget()
        pause = self._app.state.paused("tail")
        if pause is None:
            self.reporting.resumed()
            return False
        self.reporting.paused(pause)
        self._measure()
        self.line.checkpoint.beat()
        return True

    def _measure(self) -> None:
        if time.monotonic() - self._measured_at >= MEASURE_SECONDS:
            self._measured_at = time.monotonic()
            self.reporting.lagging(*self.line.measure())

    def _follow_lag(self) -> None:
        """Measure, or say that nobody can: a figure from before an outage would pass for the present one."""
        try:
            # Asking keeps the lease's session alive through a long wait, and says whether the database answers.
            if self._leading and self.line.lease.held():
                self._measure()
                return
        except AgentError:
            pass  # the next step meets the same failure and reports it
        self.reporting.lagging(None, None)

    def _took(self, seconds: float) -> None:
        self.reporting.metrics.observe_bulk(seconds)

    def _in_peace(self, job: Callable[[], None]) -> Callable[[], None]:
        """Leave a job out while rows cannot be shipped: a cluster in trouble is asked for nothing but to take them."""
        return lambda: None if self.reporting.health.condition.state is State.DEGRADED else job()

    def _restore_templates(self) -> None:
        for name in self._app.templates.ensure():
            self._app.log.say(Event.TEMPLATE_INSTALLED, template=name)

    def _count_dead_letters(self) -> None:
        self.line.published["dead_letters"] = self._app.dead_letters.count()


def _refuse_wrong_configuration(app: Application) -> None:
    """Look the table up once: what a person must correct ends the start, what may heal is waited for later."""
    try:
        _ = app.table
    except TemporaryError as error:
        app.log.say(Event.TAIL_DEFERRED, job="start", error=app.log.mask(str(error)))


def _http_server(app: Application, reporting: Reporting) -> HttpServer | None:
    listen = app.configuration.settings.http.listen
    if not listen:
        return None
    server = HttpServer(
        listen,
        metrics=reporting.metrics.render,
        metrics_type=CONTENT_TYPE,
        healthy=lambda: reporting.health.healthy(time.monotonic()),
        ready=lambda: reporting.health.ready(time.monotonic()),
        failed=lambda error: app.log.say(Event.HTTP_FAILED, error=app.log.mask(str(error))),
    )
    server.start()
    app.log.say(Event.HTTP_LISTENING, address=server.address)
    return server
