"""What people look at and what wakes them: dashboards and alerts, checked before they are sent and read back after.

    dashboards/impulse-audit.ndjson ──validate──▶ install ──▶ Dashboards ──read back──▶ report by name
    config/alerts.yml ──queries, triggers──▶ monitors ──▶ Alerting plugin
                                        └──▶ evaluate (what would fire now)
                                        └──▶ prometheus (rules file)

Everything but `dashboards_api` and the cluster that callers pass in is pure. Reading YAML belongs to `config`.
"""
