"""Turn driver errors into the project's three kinds, once, with the remedy a person needs.

    unreachable, lost, refused, timed out, shutting down   TemporaryError(kind="mysql_unreachable")
    lock wait, deadlock, metadata lock wait                 TemporaryError(kind="lock_wait")
    statement stopped by its time limit                     TemporaryError(kind="statement_timeout")
    certificate or TLS handshake                            TemporaryError(kind="tls")
    read-only server                                        TemporaryError(kind="read_only"): a failover may heal it
    password, database, table, column, privilege            ConfigError that names what to change
    anything else                                           PermanentError

A message carries the server's host and port and the driver's own words, never a password or a URL.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pymysql.err
import sqlalchemy.exc

from agent.errors import AgentError, ConfigError, PermanentError, TemporaryError

_UNREACHABLE = frozenset(
    (
        *(0, 1040, 1042, 1043, 1047, 1053, 1077, 1129),  # refused, too many connections, shutting down, blocked host
        *(*range(1152, 1162), 1184, 1203, 1226, 1317, 1927, 4031),  # network errors, quota, killed, idle too long
        *(2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2027, 2055),  # the driver's own: refused, lost, timed out
    )
)
_LOCK_WAIT = frozenset((1205, 1213, 3058, 3572))
_STATEMENT_TIMEOUT = frozenset((1969, 3024))
_EXHAUSTED = frozenset((1021, 1037, 1038, 1041, 1114, 1135, 1180, 1206, 1412, 1615))
_READ_ONLY = frozenset((1290, 1792, 1836))
_NOT_TLS = 3159
_CLEAR_PASSWORD = 2059
_DENIED_COMMAND = re.compile(r"([\w, ]+) command denied to user (\S+) for (table|column|routine) (.+)")
_NEEDED_PRIVILEGE = re.compile(r"need \(at least one of\) the (.+?) privilege")

_REMEDIES = {
    1044: "GRANT SELECT on the table to this user, or correct the database in source.url",
    1045: "correct the user and password in source.url or source.password_file",
    1049: "correct the database in source.url",
    1054: "correct source.columns",
    1109: "check the name and that the plugin is installed",
    1130: "allow this host: CREATE USER …@'<this host>'",
    1146: "correct source.table",
    1193: "use a supported server version",
    1698: "use an account that logs in with a password",
    _CLEAR_PASSWORD: "set source.tls with its ca_file: a password goes in clear text only to a server that was checked",
    1862: "give the account a new password: it has expired",
    3118: "unlock the account: ALTER USER … ACCOUNT UNLOCK",
    _NOT_TLS: "set source.tls: the server only accepts TLS",
    4151: "unlock the account: ALTER USER … ACCOUNT UNLOCK",
}


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Re-raise what the driver raises inside as the project's own error, naming `where`."""
    try:
        yield
    except sqlalchemy.exc.DBAPIError as error:
        raise translate(error.orig or error, where) from error
    except sqlalchemy.exc.TimeoutError as error:
        raise TemporaryError("no free connection to MySQL", where=where, kind="mysql_unreachable") from error
    except (pymysql.err.Error, OSError) as error:
        raise translate(error, where) from error
    except Exception as error:
        # mysqlclient is optional: its errors are known by name only, everything else passes through untouched
        if type(error).__module__.partition(".")[0] != "MySQLdb":
            raise
        raise translate(error, where) from error


def error_code(error: BaseException) -> int:
    """Return the server's or the driver's error number, 0 when there is none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def translate(error: BaseException, where: str) -> AgentError:
    """Return the project's error for one driver error."""
    code = error_code(error)
    got = _words(error)
    tls = _tls_problem(error)
    if tls is not None:
        remedy = "correct source.tls: ca_file, host name and validity of the server's certificate"
        return TemporaryError("TLS to MySQL failed", where=where, got=tls, remedy=remedy, kind="tls")
    if code in _UNREACHABLE or isinstance(error, OSError):
        remedy = "check that the server runs and that source.url names its host and port"
        return TemporaryError("MySQL is unreachable", where=where, got=got, remedy=remedy, kind="mysql_unreachable")
    for codes, what, kind in _TEMPORARY:
        if code in codes:
            return TemporaryError(what, where=where, got=got, kind=kind)
    if code in _READ_ONLY:
        remedy = "name the writer in source.url"
        return TemporaryError("MySQL is read-only", where=where, got=got, remedy=remedy, kind="read_only")
    remedy = _REMEDIES.get(code) or _missing_grant(code, got)
    if remedy:
        return ConfigError("MySQL refuses", where=where, got=got, remedy=remedy)
    return PermanentError("MySQL failed", where=where, got=f"{got} [{code}]")


_TEMPORARY = (
    (_LOCK_WAIT, "MySQL gave up waiting for a lock", "lock_wait"),
    (_STATEMENT_TIMEOUT, "MySQL stopped a statement that took too long", "statement_timeout"),
    (_EXHAUSTED, "MySQL lacks resources or the table is changing", "mysql_busy"),
)


def _words(error: BaseException) -> str:
    words = error.args[1] if len(error.args) > 1 else str(error)
    return str(words)


def _tls_problem(error: BaseException) -> str | None:
    cause = getattr(error, "original_exception", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message or str(cause)
    if isinstance(cause, ssl.SSLError):
        return str(cause)
    if error_code(error) == 2026:  # the server offers no TLS at all
        return _words(error)
    return None


def _missing_grant(code: int, got: str) -> str:
    denied = _DENIED_COMMAND.search(got)
    if denied:
        command, user, kind, what = denied.groups()
        name = what.replace("`", "").strip("' ")
        return f"GRANT {command.strip()} ON {name} TO {user}" if kind == "table" else f"GRANT {command} to {user}"
    needed = _NEEDED_PRIVILEGE.search(got)
    if needed:
        # the list begins with the mightiest, SUPER, and ends with the one made for the purpose
        return f"GRANT {needed.group(1).split(',')[-1].strip()} ON *.* to this user"
    return "grant this user what it lacks" if code in (1142, 1143, 1227, 1370) else ""
