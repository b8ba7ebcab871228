"""What an installation came to: by name, and never a success that was not read back."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Name what is not as it should be, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """List what was installed and read back, and what was not.

    `missing_plugin` is the sentence to show when the server has no Alerting plugin; nothing was tried then.
    """

    installed: tuple[str, ...]
    failed: tuple[Failure, ...]
    missing_plugin: str = ""

    @property
    def ok(self) -> bool:
        return not self.failed and not self.missing_plugin
