"""Every action ImpulseCore and its modules write, with how often, by whom and in which shape of context.

The dotted names follow the vendor's pages; where a page names an event but no action, the name here is a guess,
which is why the agent must never depend on a list of actions.
"""

from __future__ import annotations

from dataclasses import dataclass

from demo import contexts
from demo.contexts import Shape

MODULES = ("impulsecore", "impulseminio", "impulsedb-postgres", "impulsecache", "impulseauth", "impulsesearch")
SOURCES = ("admin", "cron", "customer", "system")
SEVERITIES = ("info", "warn", "error")
TASK_FAILED = "cron.task_failed"

_ANY = ("impulseminio", "impulsedb-postgres", "impulsecache", "impulseauth", "impulsesearch")
_CORE = ("impulsecore",)
_MINIO = ("impulseminio",)
_POSTGRES = ("impulsedb-postgres",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Describe one action. `share` is how many of a thousand rows or so carry it; `{…}` in detail are filled in."""

    name: str
    share: int
    modules: tuple[str, ...]
    sources: tuple[str, ...]
    shape: Shape
    detail: str
    severity: str = "info"
    about_service: bool = True


# fmt: off
ACTIONS = (
    Action(name="service.created", share=60, modules=_ANY, sources=("system", "admin"),
           shape=contexts.service_lifecycle, detail="Service {service} created for client {client}"),
    Action(name="server.provisioned", share=50, modules=_MINIO, sources=("system", "cron", "admin"),
           shape=contexts.server_provisioned, detail="Server provisioned for service {service}"),
    Action(name="service.suspended", share=40, modules=_ANY, sources=("cron", "admin"),
           shape=contexts.service_lifecycle, detail="Service {service} suspended"),
    Action(name="service.unsuspended", share=35, modules=_ANY, sources=("system", "admin"),
           shape=contexts.service_lifecycle, detail="Service {service} unsuspended"),
    Action(name="service.terminated", share=20, modules=_ANY, sources=("cron", "admin"),
           shape=contexts.service_lifecycle, detail="Service {service} terminated"),
    Action(name="service.restored", share=4, modules=_ANY, sources=("admin",), shape=contexts.service_lifecycle,
           detail="Service {service} restored from backup"),
    Action(name="quota.updated", share=70, modules=_POSTGRES, sources=("admin", "customer"),
           shape=contexts.quota_updated, detail="Storage quota of service {service} changed"),
    Action(name="plan.updated", share=25, modules=_ANY, sources=("admin",), shape=contexts.plan_updated,
           detail="Plan updated", about_service=False),
    Action(name="plan.upgraded", share=25, modules=_ANY, sources=("customer",), shape=contexts.plan_updated,
           detail="Client {client} upgraded service {service}"),
    Action(name="settings.updated", share=15, modules=_CORE, sources=("admin",), shape=contexts.setting_changed,
           detail="Setting changed", about_service=False),
    Action(name="region.added", share=5, modules=_MINIO, sources=("admin",), shape=contexts.audited_host_action,
           detail="Region added", about_service=False),
    Action(name="host.restarted", share=15, modules=_MINIO, sources=("admin",), shape=contexts.audited_host_action,
           detail="MinIO restarted on request", severity="warn", about_service=False),
    Action(name="access_key.rotated", share=90, modules=_MINIO, sources=("customer",), shape=contexts.key_rotated,
           detail="Access key of service {service} rotated by client {client}"),
    Action(name="custom_domain.added", share=50, modules=_MINIO, sources=("customer",), shape=contexts.domain_added,
           detail="Custom domain added to service {service}"),
    Action(name="security_collect.run", share=60, modules=_CORE, sources=("cron",), shape=contexts.task_run,
           detail="Security collectors finished", about_service=False),
    Action(name="cve.detected", share=45, modules=_ANY, sources=("cron",), shape=contexts.cve_detected,
           detail="CVE found on a server", severity="warn", about_service=False),
    Action(name="patch.scheduled", share=30, modules=_ANY, sources=("customer", "admin"), shape=contexts.patched,
           detail="Patch of service {service} scheduled"),
    Action(name="snapshot.taken", share=30, modules=_ANY, sources=("cron",), shape=contexts.patched,
           detail="Snapshot taken before patching service {service}"),
    Action(name="patch.succeeded", share=28, modules=_ANY, sources=("cron",), shape=contexts.patched,
           detail="Patch applied to service {service}"),
    Action(name="patch.failed", share=3, modules=_ANY, sources=("cron",), shape=contexts.patch_failed,
           detail="Patch of service {service} failed", severity="error"),
    Action(name="rollback.triggered", share=3, modules=_ANY, sources=("cron",), shape=contexts.patched,
           detail="Service {service} rolled back to its snapshot", severity="error"),
    Action(name="license.verified", share=100, modules=_ANY, sources=("system",), shape=contexts.license_checked,
           detail="License verified", about_service=False),
    Action(name="license.verify_failed", share=6, modules=_ANY, sources=("system",), shape=contexts.license_checked,
           detail="License could not be verified", severity="warn", about_service=False),
    Action(name="license.expired", share=2, modules=_ANY, sources=("system",), shape=contexts.license_checked,
           detail="License expired", severity="error", about_service=False),
    Action(name="license.reactivated", share=2, modules=_ANY, sources=("admin",), shape=contexts.license_checked,
           detail="License activated again", about_service=False),
    Action(name="provisioning_held", share=6, modules=_MINIO, sources=("system",), shape=contexts.held,
           detail="Order of client {client} held: no capacity", severity="warn"),
    Action(name="project.created", share=20, modules=_CORE, sources=("customer",), shape=contexts.member_changed,
           detail="Client {client} created a project"),
    Action(name="project.service_attached", share=20, modules=_CORE, sources=("customer",),
           shape=contexts.member_changed, detail="Service {service} attached to a project"),
    Action(name="module.registered", share=4, modules=_CORE, sources=("admin", "system"),
           shape=contexts.module_registered, detail="Module registered", about_service=False),
    Action(name="audit.purged", share=12, modules=_CORE, sources=("cron",), shape=contexts.purged,
           detail="Old audit entries removed", about_service=False),
    Action(name="cache.flushed", share=20, modules=("impulsecache",), sources=("customer",), shape=contexts.empty,
           detail="Cache of service {service} flushed"),
    Action(name="index.rebuilt", share=10, modules=("impulsesearch",), sources=("customer",), shape=contexts.bare_word,
           detail="Search index of service {service} rebuilt"),
    Action(name="user.invited", share=15, modules=("impulseauth",), sources=("customer",), shape=contexts.empty,
           detail="Client {client} invited a user"),
    Action(name="cve.dismissed", share=5, modules=_CORE, sources=("admin",), shape=contexts.wrapped_list,
           detail="CVEs dismissed", about_service=False),
)
# fmt: on
