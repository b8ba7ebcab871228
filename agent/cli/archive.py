"""`archive verify FILE`: check a sealed archive against its manifest, without any server or configuration."""

from __future__ import annotations

from pathlib import Path

import click

from agent.cli.output import json_option, print_json, print_line
from agent.retention.seal import verify as verify_seal

BROKEN = 1


@click.group()
def archive() -> None:
    """Check sealed archives."""


@archive.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def verify(file: Path, *, as_json: bool) -> int:
    """Check that FILE holds what was sealed: count, ids, SHA-256."""
    verdict = verify_seal(file)
    if as_json:
        print_json(
            {
                "file": verdict.file,
                "intact": verdict.intact,
                "rows": verdict.rows,
                "first_id": verdict.first_id,
                "last_id": verdict.last_id,
                "sha256": verdict.sha256,
                "problems": list(verdict.problems),
            }
        )
    elif verdict.intact:
        print_line(
            f"intact: {verdict.rows} rows, ids {verdict.first_id} to {verdict.last_id}, SHA-256 {verdict.sha256}"
        )
    else:
        for problem in verdict.problems:
            print_line(f"broken: {problem}")
    return 0 if verdict.intact else BROKEN
