"""`export`: a search of any size as CSV or NDJSON, to a file or to stdout."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click

from agent.cli.app import Application
from agent.cli.asking import Question, asked_freshness, filter_options, index_expected, live_fields, question, warn
from agent.cli.output import json_option, print_json
from agent.errors import ConfigError, PermanentError
from agent.searching.export import CsvLines, Lines, NdjsonLines, exported
from agent.searching.view import Order


@click.command()
@filter_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "ndjson"]),
    default="csv",
    show_default=True,
    help="A line a row, as CSV or as JSON.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file; it appears when it is complete. Without it: stdout.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice([str(order) for order in Order]),
    default="-created_at",
    show_default=True,
    help="By what, a minus for the last first.",
)
@click.option("--bom", is_flag=True, help="Begin CSV with a byte order mark, by which Excel knows UTF-8.")
@json_option
@click.pass_obj
def export(
    app: Application,
    *,
    asked: dict[str, Any],
    form: str,
    output: Path | None,
    order: str,
    bom: bool,
    as_json: bool,
) -> int:
    """Stream a search of any size, from one point in time."""
    if as_json and output is None:
        raise ConfigError(
            "--json reports about a file", remedy="name it with --output; rows go to stdout without --json"
        )
    with index_expected(app):
        asking = question(app, asked)
        lines = _lines(app, asking, form, bom=bom)
        fresh = asked_freshness(app)
        warn(fresh)
        with _destination(output) as file:
            file.write(lines.header())
            rows = _write(app, asking, lines, Order(order), file)
    if as_json:
        report = {"instance": app.instance, "rows": rows, "file": str(output), "format": form}
        print_json({**report, "freshness": fresh.described()})
    else:
        click.echo(f"exported {rows} rows · {fresh.line()}", err=True)
    return 0


def _write(app: Application, asking: Question, lines: Lines, order: Order, file: IO[bytes]) -> int:
    rows = 0
    for page in exported(app.search, asking.query, order, row_of=asking.row_of, wait=time.sleep):
        file.writelines(map(lines.line, page))
        rows += len(page)
    return rows


def _lines(app: Application, asking: Question, form: str, *, bom: bool) -> Lines:
    if form == "ndjson":
        return NdjsonLines()
    zone = None if asking.zone.key == "UTC" else asking.zone
    return CsvLines(extra_columns=live_fields(app).extra_columns, zone=zone, bom=bom)


@contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    """Give what the rows are written to: stdout, a pipe or device as it stands, or a new file."""
    if output is None:
        stdout = sys.stdout.buffer
        yield stdout
        stdout.flush()
        return
    try:
        # A file in the place of a device would be the end of that device.
        is_written_to = output.exists() and not output.is_file()
        with output.open("wb") if is_written_to else _new_file(output) as file:
            yield file
    except OSError as failure:
        if isinstance(failure, BrokenPipeError):
            raise
        raise PermanentError("the export can't be written", where=str(output), got=str(failure)) from failure


@contextmanager
def _new_file(output: Path) -> Iterator[IO[bytes]]:
    """Give a file that takes its name only when everything is in it and on the disk.

    It is its owner's alone, or has the mode of the file it replaces. A link is replaced, not followed: in a folder that
    others write to it may lead anywhere.
    """
    part = output.with_name(f".{output.name}.{secrets.token_hex(4)}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if output.is_file() and not output.is_symlink():
            shutil.copymode(output, part)
        part.replace(output)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
