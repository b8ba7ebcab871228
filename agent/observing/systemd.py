"""Tell systemd how the service does (sd_notify): ready, a status line, the watchdog's sign of life, stopping.

Without NOTIFY_SOCKET in the environment nothing happens, so the daemon need not ask where it runs. A lost message
is not an error either: systemd's own timeouts speak for themselves.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from agent.observing.line import neutralise

if TYPE_CHECKING:
    from collections.abc import Mapping


class Systemd:
    """Send notifications to the service manager named in the environment, if there is one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # A name with a leading @ lives in the abstract namespace, where the first byte is zero.
        self._address = "\0" + path[1:] if path.startswith("@") else path

    def ready(self) -> bool:
        """Say that start-up is complete. Every message returns whether it was sent."""
        return self._send("READY=1")

    def status(self, text: str) -> bool:
        """Set the line `systemctl status` shows."""
        # A newline would begin another assignment, for example MAINPID=.
        return self._send(f"STATUS={neutralise(text)}")

    def alive(self) -> bool:
        """Keep the watchdog quiet."""
        return self._send("WATCHDOG=1")

    def stopping(self) -> bool:
        """Say that the service is on its way out."""
        return self._send("STOPPING=1")

    def _send(self, message: str) -> bool:
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                # A full queue must not hold the agent up.
                channel.setblocking(False)
                channel.sendto(message.encode("utf-8", "replace"), self._address)
        except OSError:
            return False
        return True
