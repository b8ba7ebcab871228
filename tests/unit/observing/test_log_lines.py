"""The log: one line an event, nothing forged, nothing secret, stderr holds nothing else."""

from __future__ import annotations

import io
import json
import logging
import warnings

import pytest
import structlog

from agent.observing.events import Event
from agent.observing.line import LONGEST_VALUE_CHARACTERS, neutralise, text_line
from agent.observing.logging import set_up

FORGED = [
    "x\n2026-01-01T00:00:00Z error agent.stopped reason=forged",
    "x\r\nforged",
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "a\x00b\x07c\x08d\x7f",
    "line\u2028paragraph\u2029nel\x85",
    "\u202egnp.exe\u2066",
    "zero\u200bwidth\ufeff",
    "\ud800",
    'x" level=info reason="y',
    'x\\" reason=forged',
    "x\\",
]


@pytest.fixture(autouse=True)
def _stdlib_logging_restored():
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("opensearch", "urllib3")}
    yield
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def log_to(stream, **options):
    return set_up(stream=stream, clock=lambda: "2026-11-23T21:04:05Z", **options)


def said(kind="text", secrets=(), event=Event.TAIL_BATCH, **fields):
    stream = io.StringIO()
    log_to(stream, format=kind, secrets=secrets).say(event, **fields)
    return stream.getvalue()


def fields_of(line):
    """Read a text line back: the values, as a reader that knows quotes and backslashes sees them."""
    found, rest = {}, line.rstrip("\n").split(" ", 3)[3]
    while rest:
        key, _, rest = rest.partition("=")
        if not rest.startswith('"'):
            found[key], _, rest = rest.partition(" ")
            continue
        end = 1
        while rest[end] != '"':
            end += 2 if rest[end] == "\\" else 1
        found[key], rest = rest[1:end], rest[end + 1 :].lstrip(" ")
    return found


def test_a_text_line_is_time_level_event_and_fields_in_order():
    line = said(indexed=500, watermark=17, lag_seconds=0.41234, ok=True, reason=None)
    assert line == (
        "2026-11-23T21:04:05Z info tail.batch indexed=500 watermark=17 lag_seconds=0.412 ok=true reason=-\n"
    )


def test_a_json_line_is_one_object_with_real_types():
    line = said("json", indexed=500, ranges=[[1, 2]], detail="ä", lag_seconds=float("nan"))
    assert json.loads(line) == {
        "timestamp": "2026-11-23T21:04:05Z",
        "level": "info",
        "event": "tail.batch",
        "indexed": 500,
        "ranges": [[1, 2]],
        "detail": "ä",
        "lag_seconds": "nan",
    }


@pytest.mark.parametrize("kind", ["text", "json"])
@pytest.mark.parametrize("hostile", FORGED)
def test_a_hostile_value_stays_one_line_and_one_value_without_control_characters(kind, hostile):
    line = said(kind, detail=hostile, after="end", nested={hostile: [hostile]})
    assert line.count("\n") == 1
    assert len(line.splitlines()) == 1
    assert neutralise(line[:-1]) == line[:-1]
    line.encode("utf-8")
    if kind == "json":
        assert set(json.loads(line)) == {"timestamp", "level", "event", "detail", "after", "nested"}
    else:
        assert fields_of(line).keys() == {"detail", "after", "nested"}
        assert fields_of(line)["after"] == "end"


def test_a_hostile_key_cannot_forge_either():
    line = text_line("t", "info", "tail.batch", {"a b=c\n": 1})
    assert line == "t info tail.batch a_b_c_=1"


def test_harmless_letters_of_any_script_are_kept():
    assert neutralise("größe 東京 🚀 naïve") == "größe 東京 🚀 naïve"


def test_a_huge_value_is_cut_in_its_middle():
    line = said(detail="a" * 1_000_000 + "end")
    assert len(line) < LONGEST_VALUE_CHARACTERS + 200
    assert "characters cut" in line
    assert line.endswith('end"\n')


@pytest.mark.parametrize("kind", ["text", "json"])
def test_a_secret_is_masked_in_values_containers_and_tracebacks(kind):
    secret = "p@ss/w\n'rd"
    try:
        raise RuntimeError(f"cannot connect to mysql://agent:{secret}@db, p%40ss%2Fw%0A%27rd")  # noqa: TRY301
    except RuntimeError as error:
        line = said(
            kind,
            [secret],
            Event.JOB_FAILED,
            exc_info=error,
            error=error,
            config={"password": [secret]},
            text=repr(secret),
        )
    assert "[secret]" in line
    for form in (secret, "ss/w", "p%40ss", "'rd"):
        assert form not in line
    assert len(line.splitlines()) == 1


def test_a_secret_learned_later_is_masked_from_then_on():
    stream = io.StringIO()
    log = log_to(stream)
    log.mask.add("rotated-password\n")
    log.say(Event.TAIL_DEFERRED, reason="denied for rotated-password")
    assert "rotated" not in stream.getvalue()


def test_a_level_hides_what_is_below_it():
    stream = io.StringIO()
    log = log_to(stream, level="WARNING")
    log.say(Event.TAIL_BATCH, indexed=1)
    log.say(Event.TAIL_DEFERRED, reason="x")
    assert [line.split()[1:3] for line in stream.getvalue().splitlines()] == [["warning", "tail.deferred"]]


def test_fields_named_like_parts_of_the_line_do_not_replace_them():
    answer = json.loads(said("json", event_name="x", level="forged", timestamp="forged"))
    assert (answer["level"], answer["timestamp"]) == ("info", "2026-11-23T21:04:05Z")
    assert answer["level_"] == "forged"


def test_an_outage_of_an_hour_is_at_most_thirty_lines_and_one_recovery_line():
    stream = io.StringIO()
    log = log_to(stream)
    for second in range(3600):
        log.failed(Event.TAIL_DEFERRED, key="tail", now=float(second), reason="unreachable", where="cluster")
    for second in range(3600, 3700):
        log.recovered(Event.TAIL_RECOVERED, key="tail", now=float(second), rows=9)
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if " tail.deferred " in line]) <= 30
    assert [fields_of(line) for line in lines if " tail.recovered " in line] == [
        {"outage_seconds": "3600", "failures": "3600", "rows": "9"}
    ]


def test_nothing_is_said_when_nothing_happened():
    stream = io.StringIO()
    log = log_to(stream)
    for second in range(60):
        log.recovered(Event.TAIL_RECOVERED, key="tail", now=float(second))
    assert stream.getvalue() == ""


def test_library_warnings_become_events_and_chatter_about_requests_is_left_out():
    stream = io.StringIO()
    log_to(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("certificates are\nnot verified", stacklevel=1)
    logging.getLogger("some.library").error("bad\nthing %s", 1)
    logging.getLogger("opensearch").warning("POST … [status:N/A]")
    logging.getLogger("urllib3.connectionpool").warning("Retrying")
    lines = stream.getvalue().splitlines()
    assert [line.split()[2:4] for line in lines] == [
        ["library.warning", "library=py.warnings"],
        ["library.warning", "library=some.library"],
    ]


def test_setting_up_again_does_not_say_library_warnings_twice():
    first, second = io.StringIO(), io.StringIO()
    log_to(first)
    log_to(second)
    logging.getLogger("some.library").error("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_a_reader_that_went_away_does_not_stop_the_agent():
    class Gone(io.StringIO):
        def write(self, _text):
            raise BrokenPipeError

    log_to(Gone()).say(Event.TAIL_BATCH, indexed=1)
    closed = io.StringIO()
    log = log_to(closed)
    closed.close()
    log.say(Event.TAIL_BATCH, indexed=1)


def test_the_log_goes_to_the_stderr_of_the_moment(capsys):
    set_up().say(Event.AGENT_STARTED, instance="whmcs")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(" info agent.started instance=whmcs\n")


def test_structlogs_own_global_configuration_is_left_alone():
    before = structlog.get_config()
    log_to(io.StringIO())
    assert structlog.get_config() == before
