"""YAML → validated, frozen settings.

    agent.yml, retention.yml, context_fields.yml, alerts.yml
        │ yaml_tree      plain values that know their lines; no tags, no bombs, ${NAME} expanded
        ▼
    Tree ──translation──▶ models (settings, retention, context_fields, alerts), frozen, closed to unknown keys
        │
        └─▶ InvalidFile: every problem, one line each: file:line: path: got …, allowed …; did you mean …?

Attribute names are exactly the keys of the files. Secrets are held so that no repr, dump or message shows them.
Whether a table, a column or a cluster exists is left to those who connect.
"""

from agent.config.alerts import AlertRule, AlertSettings
from agent.config.connections import OpenSearchSettings, SourceSettings, TlsSettings
from agent.config.context_fields import ContextFields, Redaction, RedactRule
from agent.config.loading import Configuration, load, load_alerts, load_all, load_context_fields, load_retention
from agent.config.problems import InvalidFile, Problem
from agent.config.retention import Hold, Keep, RetentionRule, RetentionSettings
from agent.config.retention_file import RetentionFile
from agent.config.settings import Settings

__all__ = [
    "AlertRule",
    "AlertSettings",
    "Configuration",
    "ContextFields",
    "Hold",
    "InvalidFile",
    "Keep",
    "OpenSearchSettings",
    "Problem",
    "RedactRule",
    "Redaction",
    "RetentionFile",
    "RetentionRule",
    "RetentionSettings",
    "Settings",
    "SourceSettings",
    "TlsSettings",
    "load",
    "load_alerts",
    "load_all",
    "load_context_fields",
    "load_retention",
]
