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
