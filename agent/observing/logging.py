"""The log: one event a line on stderr, as text or JSON; secrets masked, values unable to forge, repeats limited.

`set_up` is called once by the command line and gives the `EventLog` everything else is handed. Warnings of
libraries and of the interpreter are led into the same log, so that stderr holds nothing but events; what the
OpenSearch client and its HTTP pool say about every failed request is left out, because the step that failed says it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TextIO, cast

from agent.observing.events import Event, Level
from agent.observing.line import json_line, text_line
from agent.observing.mask import SecretMask
from agent.observing.rate_limiter import RateLimiter, Recovery, Repeat

# structlog takes rich along where it finds it, for a console that is not ours: five megabytes of a daemon's memory.
_IS_SPARED = sys.modules.setdefault("rich", cast("Any", None)) is None
try:
    import structlog
finally:
    if _IS_SPARED:
        del sys.modules["rich"]

__all__ = ["EventLog", "RateLimiter", "Recovery", "Repeat", "set_up"]

# They log each failed request at WARNING with a traceback; an outage would fill the disk.
_CHATTY_LIBRARIES = ("opensearch", "opensearchpy", "opensearchpy.trace", "urllib3", "botocore", "schedule")
_TAKEN_BY_THE_LINE = frozenset({"event", "level", "timestamp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """Say events. Thread-safe; never raises, not even when whoever read stderr has gone away."""

    logger: structlog.typing.FilteringBoundLogger
    mask: SecretMask
    limiter: RateLimiter

    def say(self, event: Event, /, **fields: Any) -> None:
        """Write one line at the event's own level; `exc_info=error` adds the traceback, still on that line."""
        renamed = {f"{key}_" if key in _TAKEN_BY_THE_LINE else key: value for key, value in fields.items()}
        self.logger.bind(**renamed).log(event.level.number, event.value)

    def failed(self, event: Event, /, *, key: str, now: float, reason: str = "", **fields: Any) -> None:
        """Say a failure that may repeat: at once, then ever more seldom. `now` is any steady clock in seconds.

        `key` names what failed (a job); `reason` is a short stable word, a new one is said at once.
        """
        repeat = self.limiter.failed(key, now, reason)
        if repeat is None:
            return
        if reason:
            fields["reason"] = reason
        if repeat.failures > 1:
            fields |= {"failures": repeat.failures, "outage_seconds": round(repeat.outage_seconds, 1)}
        self.say(event, **fields)

    def recovered(self, event: Event, /, *, key: str, now: float, **fields: Any) -> None:
        """Say once that what failed works again; silent when nothing had been said. Call it after every success."""
        recovery = self.limiter.recovered(key, now)
        if recovery is not None:
            self.say(event, outage_seconds=round(recovery.outage_seconds, 1), failures=recovery.failures, **fields)


def set_up(
    *,
    format: Literal["text", "json"] = "text",  # noqa: A002  the configuration key's own name
    level: str = "info",
    secrets: Iterable[str] = (),
    mask: SecretMask | None = None,
    stream: TextIO | None = None,
    clock: Callable[[], str] | None = None,
) -> EventLog:
    """Return the log and lead library warnings into it. Calling it again replaces what the last call set up.

    `mask` is used instead of one that knows `secrets`. `stream` None is the stderr of the moment; `clock` gives the
    timestamp of a line, None the time of day in UTC.
    """
    mask = mask or SecretMask(secrets)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True) if clock is None else _stamp_by(clock)
    logger = structlog.wrap_logger(
        _Lines(stream),
        processors=[
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            _masked_by(mask),
            _rendered_as(format),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(Level(level.lower()).number),
        context_class=dict,
        cache_logger_on_first_use=True,
    )
    log = EventLog(
        logger=cast("structlog.typing.FilteringBoundLogger", logger.bind()), mask=mask, limiter=RateLimiter()
    )
    _lead_libraries_into(log)
    return log


class _Lines:
    """Write lines to a stream. A log reader that went away must not stop shipping: such lines are dropped."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        # Re-entrant: a signal handler may say something while its own thread is in the middle of a line.
        self._lock = threading.RLock()

    def write(self, line: str) -> None:
        # Looked up at every line, because stderr may be replaced; it is None when descriptor 2 was closed.
        stream = self._stream or sys.stderr
        if stream is None:
            return
        with self._lock, suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()

    debug = info = warning = error = critical = write


def _stamp_by(clock: Callable[[], str]) -> structlog.typing.Processor:
    def stamp(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        line["timestamp"] = clock()
        return line

    return stamp


def _masked_by(mask: SecretMask) -> structlog.typing.Processor:
    def masked(value: Any) -> Any:
        if isinstance(value, (bool, int, float)) or value is None:
            return value
        if isinstance(value, dict):
            return {masked(key): masked(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [masked(inner) for inner in value]
        return mask.masked(str(value))

    def mask_fields(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        mask.learn()
        return {key: masked(value) for key, value in line.items()}

    return mask_fields


def _rendered_as(kind: Literal["text", "json"]) -> structlog.typing.Processor:
    write = json_line if kind == "json" else text_line

    def render(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> str:
        timestamp, level, event = line.pop("timestamp"), line.pop("level"), line.pop("event")
        return write(timestamp, level, event, line)

    return render


class _LibraryWarnings(logging.Handler):
    """Turn what libraries log at WARNING and above into one event, limited per library."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.failed(
            Event.LIBRARY_WARNING,
            key=f"library {record.name}",
            now=record.created,
            library=record.name,
            message=record.getMessage(),
        )


def _lead_libraries_into(log: EventLog) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _LibraryWarnings)]:
        root.removeHandler(handler)
    root.addHandler(_LibraryWarnings(log))
    logging.captureWarnings(capture=True)
    for name in _CHATTY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
