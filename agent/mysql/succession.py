"""Keep a transaction's name alive across the moments when the server renames it.

The same transaction changes every identity a server shows: XA PREPARE gives its metadata lock a new event (MySQL) or
drops the lock from sight when the session ends (MariaDB), the detached transaction gets a new trx_id, and a restart
recovers it under new numbers. Taken for a new transaction, its first name would seem to have gone, and a row that
commits later would be skipped. So whatever vanishes while a prepared transaction is listed is taken to live on in it.
"""

from __future__ import annotations


class Succession:
    """Remember, over consecutive samples, which vanished names each prepared transaction may stand for.

    Errs on the side of holding: an unrelated name that vanished meanwhile is held until the prepared ones end.
    """

    def __init__(self) -> None:
        self._last: frozenset[str] = frozenset()
        self._inherited: dict[str, frozenset[str]] = {}

    def sample(
        self, active: frozenset[str], prepared: frozenset[str], recovered: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """Take what is listed now and return all names that may still be alive.

        `recovered` are those prepared ones that a restarted server found again: they may be any prepared one of before.
        """
        now = active | prepared
        vanished = self._last - now
        ended = self._inherited.keys() - prepared
        of_ended = frozenset[str]().union(*(self._inherited[name] for name in ended))
        self._inherited = {
            name: self._inherited.get(name, frozenset())
            | vanished
            | (of_ended if name in recovered and name not in self._inherited else frozenset())
            for name in prepared
        }
        self._last = now
        return now.union(*self._inherited.values())
