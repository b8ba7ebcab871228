"""The options that `search`, `actions`, `top` and `export` share, and what they become: a query and its freshness."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
from click.shell_completion import CompletionItem

from agent.cli.app import Application
from agent.errors import AgentError, ConfigError, TemporaryError
from agent.opensearch.client import url_path
from agent.searching.conditions import condition_of
from agent.searching.fields import Field, Fields
from agent.searching.filters import Filters, query_of
from agent.searching.freshness import Freshness, freshness
from agent.searching.groups import count
from agent.searching.ranges import Range, range_of
from agent.searching.reader import Query
from agent.searching.rows import Row, row_of
from agent.searching.view import watermark_time

F = TypeVar("F", bound=Callable[..., Any])

NAMES = {"module": "module_slug", "action": "action", "severity": "severity", "source": "source"}
IDS = {"service": "service_id", "admin": "admin_id", "client": "client_id"}
_LARGEST_ID = 2**63 - 1
_COMPLETIONS = 200
_UNKNOWN = "this account may not read the agent's state, so how fresh this is cannot be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked, ready to be sent."""

    query: Query
    filters: Filters
    zone: ZoneInfo

    def row_of(self, source: dict[str, Any]) -> Row:
        """Return a document as a row of this answer."""
        return row_of(source, self.filters)


def filter_options(verb: F) -> F:
    """Add the filters' options to a verb, which gets them as one argument `asked`."""

    @functools.wraps(verb)
    def packed(**options: Any) -> Any:
        asked = {name: options.pop(name) for name in _OPTIONS}
        return verb(asked=asked, **options)

    decorated: Any = packed
    for option in reversed(list(_OPTIONS.values())):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]  # click's decorators keep the function's type


def question(app: Application, asked: dict[str, Any]) -> Question:
    """Return what the options ask. Raises ConfigError."""
    zone = zone_of(asked["tz"])
    filters = Filters(
        names={column: _words(asked[option], option) for option, column in NAMES.items()},
        ids={column: ids_of(asked[option], option) for option, column in IDS.items()},
        ips=_words(asked["ip"], "ip"),
        conditions=[condition_of(text) for text in asked["context"]],
        texts=asked["text"],
        range=_range(asked, zone),
        column_only=asked["column_only"],
    )
    return Question(query=query_of(filters, field_of(app)), filters=filters, zone=zone)


def field_of(app: Application) -> Callable[[str], Field]:
    """Return the look-up of context fields; the mappings are fetched when it is first used."""
    known: list[Fields] = []

    def look_up(path: str) -> Field:
        if not known:
            known.append(live_fields(app))
        return known[0].field(path)

    return look_up


def live_fields(app: Application) -> Fields:
    """Return the context fields of the live mappings."""
    with index_expected(app):
        params = {"filter_path": "*.mappings.properties.context,*.mappings.properties.extra"}
        answer = app.cluster.call("GET", url_path(app.names.read, "_mapping"), params=params)
    mappings = [entry.get("mappings", {}).get("properties", {}) for entry in answer.values()]
    return Fields(mappings, app.search)


def asked_freshness(app: Application) -> Freshness:
    """Return how fresh an answer is that is given now; an account that may only search cannot tell, and says so."""
    is_known = True
    try:
        app.state.refresh_unclaimed()
    except TemporaryError as failure:
        if failure.kind != "forbidden":
            raise
        is_known = False
    members = app.state.members
    found = freshness(
        members,
        instance=app.instance,
        now=datetime.now(UTC),
        poll_seconds=app.settings.tail.poll_seconds,
        watermark_time=watermark_time(app.search, int(members.get("watermark") or 0)),
    )
    return found if is_known else replace(found, state="unknown", behind=False, warning=_UNKNOWN)


def warn(fresh: Freshness) -> None:
    """Say on stderr why an answer may lack rows."""
    if fresh.warning:
        click.echo(f"warning: {fresh.warning}", err=True)


@contextmanager
def index_expected(app: Application) -> Iterator[None]:
    """Word a missing index as what it means: nothing was ever shipped, or somebody deleted it."""
    try:
        yield
    except TemporaryError as failure:
        if failure.kind != "missing_index":
            raise
        remedy = "run `audit-agent setup`, then `audit-agent run` or `sync`; `audit-agent status` says where it stands"
        raise TemporaryError(
            "there is no index to search", got=app.names.read, remedy=remedy, kind=failure.kind
        ) from failure


def limit_of(limit: int) -> int:
    """Return a limit that is one. Raises ConfigError."""
    if limit < 1:
        raise ConfigError("--limit must be at least 1", got=str(limit), remedy="`export` has no limit")
    return limit


def ids_of(texts: tuple[str, ...], option: str) -> list[int]:
    """Return the ids an option names, parted by commas. Raises ConfigError."""
    ids = []
    for word in _words(texts, option):
        if not (word.isascii() and word.isdecimal()) or int(word[:20]) > _LARGEST_ID:
            raise ConfigError(f"--{option} is no id", got=repr(word), remedy="write whole numbers, parted by commas")
        ids.append(int(word))
    return ids


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name. Raises ConfigError."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        # ZoneInfoNotFoundError is a KeyError; a name that is a path or a folder raises the others.
        raise ConfigError("--tz is no time zone", got=repr(name), remedy="write Europe/Vienna or UTC") from None


def _range(asked: dict[str, Any], zone: ZoneInfo) -> Range:
    return range_of(asked["last"], asked["since"], asked["until"], now=datetime.now(UTC), zone=zone)


def _words(texts: tuple[str, ...], option: str) -> list[str]:
    words = [word.strip() for text in texts for word in text.split(",")]
    if "" in words:
        raise ConfigError(f"--{option} names nothing", got=repr(",".join(texts)))
    return words


def _complete(option: str) -> Callable[..., list[CompletionItem]]:
    """Return what completes an option's value in a shell: the values that are in the index, most frequent first."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        # After a comma the next value is completed.
        done, comma, begun = incomplete.rpartition(",")
        root = ctx.find_root()
        try:
            app = Application(root.params["config"])
            source = {"terms": {"field": NAMES[option]}}
            groups = count(app.search, {"match_all": {}}, {option: source}, limit=_COMPLETIONS).groups
        except AgentError:
            return []
        values = [str(group[option]) for group in groups]
        return [CompletionItem(f"{done}{comma}{value}") for value in values if value.startswith(begun)]

    return complete


def _many(option: str, text: str, **more: Any) -> Callable[[F], F]:
    return click.option(f"--{option}", multiple=True, help=text, **more)


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "module": _many("module", "Modules, by slug; * and ? stand for any text.", shell_complete=_complete("module")),
    "action": _many("action", "Actions: patch.*, rollback.triggered.", shell_complete=_complete("action")),
    "severity": _many("severity", "Severities: warn,error.", shell_complete=_complete("severity")),
    "source": _many("source", "Sources: admin, cron, customer, system.", shell_complete=_complete("source")),
    "service": _many("service", "Service ids, in the column or in the context."),
    "admin": _many("admin", "Admin ids."),
    "client": _many("client", "Client ids, in the column or in the context."),
    "ip": _many("ip", "Addresses or networks: 203.0.113.0/24."),
    "last": click.option("--last", metavar="24h", help="From that long ago until now: 24h, 7d, 30d, 90d."),
    "since": click.option(
        "--from", "since", metavar="TIME", help="From a day, minute or second; or 7d for that long ago."
    ),
    "until": click.option("--to", "until", metavar="TIME", help="To the end of a day, minute or second."),
    "context": _many(
        "context", "Context fields: server_id=42, duration_ms>=500, message~timeout; several must all hold."
    ),
    "text": _many("text", "Words in detail or context; '\"timed out\"' is a phrase, timeou* a beginning."),
    "column_only": click.option(
        "--column-only", is_flag=True, help="Look for services and clients in the column only."
    ),
    "tz": click.option(
        "--tz", default="UTC", show_default=True, help="Time zone of --from, --to and of what is shown."
    ),
}
