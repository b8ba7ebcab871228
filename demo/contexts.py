"""What PHP code puts into `context`: one function a shape, with the habits that break naive indexing.

Numbers come as 42 here and "42" there (values read through PDO are strings), ids of snapshots are numbers at one
provider and UUIDs at another, `before` and `after` are objects in one action and scalars in the next, an empty map
is `[]`, exception messages run over many lines and carry what they should not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from demo.install import PLANS, PROVIDERS, REGIONS, Install

Context = Any
Shape = Callable[[Install], Context]

_PACKAGES = ("openssl", "linux-image-6.1", "nginx", "postgresql-15", "glibc", "sudo", "openssh-server", "valkey")
_NAMES = ("Müller & Söhne GmbH", "Łódź Data", "株式会社サンプル", "Café Zoë", "O'Brien Ltd", "Ωmega \U0001f680 Labs")


def server_provisioned(install: Install) -> Context:
    return {
        "server_id": install.server(),
        "region": install.one_of(REGIONS),
        "provider": install.one_of(PROVIDERS),
        "instance_id": snapshot_id(install),
        "service_id": str(install.service_id),
        "hostname": f"node-{install.server()}.{install.one_of(REGIONS)}.example.net",
        "seconds": round(3 + install.rng.random() * 40, 3),
    }


def service_lifecycle(install: Install) -> Context:
    return {
        "service_id": str(install.service_id),
        "server_id": str(install.server()),
        "plan_id": 1 + install.number(len(PLANS)),
        "reason": install.one_of(("Overdue on payment", "Requested by client", "Abuse report #4411", "")),
        "client": {"id": str(install.client_id), "company": install.one_of(_NAMES)},
        "url": f"https://cp.example.net/clientarea.php?action=productdetails&id={install.service_id}",
    }


def quota_updated(install: Install) -> Context:
    megabytes = 1024 * (1 + install.number(40))
    return {
        "service_id": install.service_id,
        "before": {"storage_mb": megabytes, "connections": 20, "pool": {"mode": "transaction", "size": "15"}},
        "after": {"storage_mb": str(megabytes * 2), "connections": "40", "pool": []},
    }


def plan_updated(install: Install) -> Context:
    before = {"slug": install.one_of(PLANS), "price": "9.90", "features": ["s3", "cdn"], "limits": []}
    return {
        "plan_id": str(1 + install.number(len(PLANS))),
        "before": before,
        "after": {**before, "price": 12.5, "limits": {"buckets": 50}, "hidden": False},
    }


def setting_changed(install: Install) -> Context:
    """Make `before`/`after` scalars, which conflicts with the objects of other actions."""
    key = install.one_of(("audit_retention_days", "alert_email", "maintenance_window", "debug"))
    values: dict[str, tuple[Context, Context]] = {
        "audit_retention_days": ("90", 30 + install.number(300)),
        "alert_email": (None, "noc@example.net"),
        "maintenance_window": ("02:00", "03:30"),
        "debug": (False, True),
    }
    return {"key": key, "before": values[key][0], "after": values[key][1]}


def task_run(install: Install) -> Context:
    hosts = 3 + install.number(20)
    return {
        "hosts": hosts,
        "errors": [],
        "duration_ms": 200 + install.number(90_000),
        "collectors": {"impulseminio": {"hosts": hosts, "ok": True}, "impulsedb-postgres": {"hosts": "4", "ok": "1"}},
    }


def cve_detected(install: Install) -> Context:
    return {
        "cve_id": cve(install),
        "cvss": round(4 + install.rng.random() * 6, 1),
        "package": install.one_of(_PACKAGES),
        "server_id": install.server(),
        "source": install.one_of(("USN", "NVD")),
        "references": [f"https://ubuntu.com/security/notices/USN-{6000 + install.number(900)}-1"],
    }


def patched(install: Install) -> Context:
    several = install.rng.random() < 0.3
    return {
        "cve_id": [cve(install), cve(install)] if several else cve(install),
        "snapshot_id": snapshot_id(install),
        "server_id": str(install.server()),
        "packages": [{"name": install.one_of(_PACKAGES), "from": "1.2.3-1", "to": "1.2.3-2"}],
        "reboot_required": install.rng.random() < 0.2,
        "window_start": "2026-01-10 02:00:00",
    }


def patch_failed(install: Install) -> Context:
    context: dict[str, Context] = patched(install)
    return {
        **context,
        "error": "E: Sub-process /usr/bin/dpkg returned an error code (1)\ndpkg: error processing archive",
    }


def key_rotated(install: Install) -> Context:
    return {
        "service_id": install.service_id,
        "access_key": f"IM{install.hex(18).upper()}",
        "secret_key": install.hex(40),
        "bucket": f"client-{install.client_id}-media",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    }


def domain_added(install: Install) -> Context:
    return {
        "service_id": str(install.service_id),
        "domain": f"cdn{install.number(90)}.example.org",
        "tls": {"issuer": "R11", "days": 90},
    }


def license_checked(install: Install) -> Context:
    return {
        "license_key": f"{install.one_of(('IMINIO', 'IPGRES', 'IMDEV'))}-{install.hex(12)}",
        "status": "Active",
        "domain": "billing.example.net",
        "checked_at": 1_700_000_000 + install.number(90_000_000),
        "grace_days": "7",
    }


def held(install: Install) -> Context:
    return {
        "plan_id": install.number(4),
        "region": install.one_of(REGIONS),
        "reason": "no capacity",
        "service_id": install.service_id,
    }


def member_changed(install: Install) -> Context:
    return {
        "project_id": 1 + install.number(60),
        "service_id": install.service_id,
        "name": install.one_of(_NAMES),
        "tags": [],
    }


def module_registered(install: Install) -> Context:
    return {
        "slug": install.one_of(("impulseminio", "impulsedb-postgres", "impulsecache")),
        "version": f"3.{install.number(9)}.0",
        "tables": ["mod_impulseminio_plans", "mod_impulseminio_tenants"],
        "cron_tasks": {"impulseminio_alerts": "15min", "impulseminio_usage_sync": "hourly"},
    }


def purged(install: Install) -> Context:
    return {
        "deleted": str(install.number(900)),
        "cutoff": "2026-01-01 00:00:00",
        "days": 90,
        "duration_ms": install.number(5000),
    }


def audited_host_action(install: Install) -> Context:
    return {"server": {"id": install.server(), "region": install.one_of(REGIONS)}, "outcome": "ok", "result": None}


def cve(install: Install) -> str:
    return f"CVE-{2024 + install.number(3)}-{1000 + install.number(300)}"


def snapshot_id(install: Install) -> int | str:
    """Return what the provider calls it: a number at some, a UUID or a word at others."""
    kind = install.number(3)
    if kind == 0:
        return 100_000_000 + install.number(900_000_000)
    raw = install.hex(32)
    return f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}" if kind == 1 else f"snap-{raw[:8]}"


def wrapped_list(install: Install) -> Context:
    return [cve(install), cve(install), 7]


def bare_word(_: Install) -> Context:
    return "done"


def empty(_: Install) -> Context:
    return {}
