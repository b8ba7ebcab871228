"""What verbs print: one JSON object on stdout with --json, lines for people without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
import orjson

from agent.observing.line import neutralise, neutralise_json

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    print_json_text(orjson.dumps(value, default=str).decode())


def print_line(text: str) -> None:
    """Print one line for a person. Nothing in it acts on the terminal or begins a line of its own."""
    click.echo(neutralise(text))


def print_json_text(text: str) -> None:
    """Print JSON as it is, but for characters that would act on the terminal: those as JSON escapes, the same value."""
    click.echo(neutralise_json(text))
