"""Judge what the configuration chose on purpose."""

from __future__ import annotations

from collections.abc import Iterator

from agent.checking.finding import Finding, ok, warn
from agent.config.loading import Configuration
from agent.config.retention import RetentionSettings

_REMEDIES = {
    "source.tls": "set source.tls with its ca_file",
    "source.tls.verify": "name the authority in source.tls.ca_file and set verify: true",
    "opensearch.verify": "name the authority in opensearch.ca_file and set verify: true",
    "opensearch.hosts": "write https:// in opensearch.hosts",
    "http.listen": "listen on 127.0.0.1, or let only the monitoring reach that port",
}


def files(configuration: Configuration) -> Iterator[Finding]:
    """Say that the files are valid, and what weakens security on purpose."""
    named = configuration.settings.files
    others = {"retention": named.retention, "context fields": named.context_fields, "alerts": named.alerts}
    yield ok("configuration", f"instance {configuration.settings.instance}, all files valid")
    for what, path in others.items():
        if path is None:
            yield ok(f"configuration of {what}", "no file is named: built-in defaults")
    for weakness in configuration.settings.weaknesses():
        key = weakness.partition(" ")[0].rstrip(":")
        yield warn("security", weakness, _REMEDIES.get(key, "undo it in agent.yml"))


def deletes_rows(retention: RetentionSettings) -> bool:
    """Say whether the daemon deletes rows from the table by itself under this policy."""
    return retention.mode == "enforce" and expires_rows(retention)


def expires_rows(retention: RetentionSettings) -> bool:
    """Say whether any rows expire under this policy, whoever starts the run."""
    days = [retention.days_of(rule)[0] for rule in (None, *retention.rules)]
    return retention.follow_core_setting is not None or any(days)
