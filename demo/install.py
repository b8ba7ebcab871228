"""The invented WHMCS install the rows come from: its clients, services, servers and admins."""

from __future__ import annotations

from random import Random
from typing import TypeVar

Choice = TypeVar("Choice")

REGIONS = ("us-central-dallas", "eu-central-frankfurt", "eu-north-helsinki", "ap-southeast-sydney", "us-west-seattle")
PROVIDERS = ("vultr", "hetzner", "digitalocean", "linode")
PLANS = ("starter", "standard", "business", "dedicated")
ADMINS = (1, 2, 3, 5, 8)
SERVERS = 24
# The client of the vendor's own sample query; every install has a client who causes much.
BUSY_CLIENT = 1234
_CLIENTS = 150
_SERVICES = 400


class Install:
    """Draw the people and machines of one row; the same seed draws the same."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.service_id = 0
        self.client_id = 0
        self._clients = [BUSY_CLIENT, *range(1001, 1001 + _CLIENTS)]
        self._owners = [self._clients[int(rng.random() ** 2 * len(self._clients))] for _ in range(_SERVICES)]
        self._addresses = [_address(rng) for _ in range(200)]

    def number(self, below: int) -> int:
        return int(self.rng.random() * below)

    def one_of(self, choices: tuple[Choice, ...]) -> Choice:
        return choices[self.number(len(choices))]

    def draw_service(self) -> None:
        """Choose the service, and with it the client, that the next row is about."""
        index = self.number(_SERVICES)
        self.service_id, self.client_id = 2001 + index, self._owners[index]

    def server(self) -> int:
        return 1 + self.number(SERVERS)

    def client_address(self) -> str:
        """Return where the client comes from: half the time the same address, what «who shares it» looks for."""
        if self.rng.random() < 0.5:
            return self._addresses[self.client_id % len(self._addresses)]
        return self.any_address()

    def any_address(self) -> str:
        return self._addresses[self.number(len(self._addresses))]

    def hex(self, digits: int) -> str:
        return f"{self.rng.getrandbits(digits * 4):0{digits}x}"


def _address(rng: Random) -> str:
    """Return an address of the documentation ranges, one in six of version 6."""
    if rng.random() < 1 / 6:
        return f"2001:db8:{rng.getrandbits(16):x}:{rng.getrandbits(16):x}::{rng.getrandbits(16):x}"
    return (
        f"203.0.113.{1 + int(rng.random() * 254)}"
        if rng.random() < 0.5
        else f"198.51.100.{1 + int(rng.random() * 254)}"
    )
