"""The command line: the only room that prints, wires parts together, or chooses an exit code.

    0 done · 1 failed · 2 usage or configuration · 3 drift found · 4 brake refused · 130 interrupted

A verb's module is imported when the verb is called, so that the daemon does not carry what only `search` draws with
and `search` not what only the daemon needs.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent import __version__
from agent.cli.garbage import imports_spared
from agent.errors import AgentError, ConfigError
from agent.observing.line import neutralise

if TYPE_CHECKING:
    from agent.cli.app import Application

INTERRUPTED = 130

VERBS = {
    "run": ("agent.cli.run", "Run the daemon: tail, keep retention, verify, answer health checks."),
    "sync": ("agent.cli.sync", "Catch up to now and exit."),
    "setup": ("agent.cli.setup", "Install templates, indices, aliases; with options dashboards and alerts."),
    "check": ("agent.cli.check", "Examine every dependency and grant: OK, WARN or FAIL with the remedy."),
    "status": ("agent.cli.status", "Say in one line where the agent stands."),
    "retain": ("agent.cli.retain", "Plan retention; delete with --execute."),
    "verify": ("agent.cli.verify", "Compare table and index row by row; --repair makes them agree."),
    "backfill": ("agent.cli.backfill", "Ship a range or slice of the table again, leaving the checkpoint alone."),
    "dead-letters": ("agent.cli.dead_letters", "List, show, replay or drop rows the index refused."),
    "fields": ("agent.cli.fields", "List the catalogue of context fields."),
    "journal": ("agent.cli.journal", "List what was deleted or skipped, and check the chain."),
    "archive": ("agent.cli.archive", "Check a sealed archive against its manifest."),
    "explain": ("agent.cli.explain", "Tell where one row is, and why."),
    "rebuild": ("agent.cli.rebuild", "Apply a changed mapping to old partitions."),
    "pause": ("agent.cli.pause", "Pause tailing or retention of a running daemon."),
    "resume": ("agent.cli.pause", "Resume what was paused."),
    "checkpoint": ("agent.cli.checkpoint", "Show the checkpoint, or rewind it on purpose."),
    "search": ("agent.cli.search", "Search the audit log: the Audit tab from the shell."),
    "actions": ("agent.cli.actions", "List the actions seen in a range, with counts."),
    "top": ("agent.cli.top", "Count and last seen, grouped by fields."),
    "export": ("agent.cli.export", "Stream a search of any size as CSV or NDJSON."),
    "redact": ("agent.cli.redact", "Scan what is indexed for secrets that slipped through."),
    "alerts": ("agent.cli.alerts", "Show, test or install the declared alerts."),
}


class Verbs(click.Group):
    """Load a verb's module only when it is called; suggest the near one when it is unknown."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        if cmd_name not in VERBS:
            return None
        with imports_spared():
            module = importlib.import_module(VERBS[cmd_name][0])
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101  narrows the type of a table entry
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS:
            from agent.config.problems import did_you_mean  # noqa: PLC0415  a known verb needs none of it

            raise click.UsageError(f"no verb {args[0]!r}{did_you_mean(args[0], VERBS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  click's signature
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="AUDIT_AGENT_CONFIG",
    default=Path("config/agent.yml"),
    show_default=True,
    show_envvar=True,
    help="The configuration file.",
)
@click.version_option(__version__, prog_name="audit-agent")
@click.pass_context
def audit_agent(context: click.Context, config: Path) -> None:
    """Ship the ImpulseCore audit log into OpenSearch, exactly."""
    from agent.cli.app import Application  # noqa: PLC0415  --help and --version need none of what it is made of

    made = context.obj
    context.obj = Application(config)
    if isinstance(made, list):
        made.append(context.obj)


def main() -> None:
    """Run a verb and leave with its exit code; every error is one line on stderr."""
    made: list[Application] = []
    try:
        code = audit_agent.main(standalone_mode=False, obj=made)
    except click.ClickException as usage:
        usage.show()
        sys.exit(usage.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(INTERRUPTED)
    except AgentError as error:
        # One line, but for a configuration file with several problems: there each is one.
        for line in str(error).split("\n"):
            _say(line, made)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception:  # noqa: BLE001  the edge: what nobody expected is told in full, but no secret with it
        for line in traceback.format_exc().splitlines():
            _say(line, made, prefix="")
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def _say(text: str, made: list[Application], *, prefix: str = "error: ") -> None:
    """Print one line on stderr that shows no secret and does nothing to a terminal."""
    with suppress(AgentError):
        # Of a configuration that cannot be read no secret is known, and its own messages quote none.
        text = made[0].mask(text) if made else text
    click.echo(prefix + neutralise(text), err=True)
