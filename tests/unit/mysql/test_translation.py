"""Driver errors leave as the project's own: by what the caller must do, with a remedy, without secrets."""

from __future__ import annotations

import ssl

import pymysql.err
import pytest

from agent.errors import ConfigError, PermanentError, TemporaryError
from agent.mysql.translation import translate, translated


def operational(code: int, words: str = "words") -> pymysql.err.OperationalError:
    return pymysql.err.OperationalError(code, words)


@pytest.mark.parametrize("code", [2003, 2006, 2013, 1040, 1053, 1317, 1927, 4031])
def test_an_unreachable_server_is_temporary(code: int) -> None:
    error = translate(operational(code), "mysql://h:1/d")

    assert isinstance(error, TemporaryError)
    assert error.kind == "mysql_unreachable"
    assert "mysql://h:1/d" in str(error)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1205, "lock_wait"),
        (1213, "lock_wait"),
        (3024, "statement_timeout"),
        (1969, "statement_timeout"),
        (1290, "read_only"),
        (1114, "mysql_busy"),
        (2026, "tls"),
    ],
)
def test_what_may_heal_says_its_kind(code: int, kind: str) -> None:
    error = translate(operational(code), "here")

    assert isinstance(error, TemporaryError)
    assert kind == error.kind


@pytest.mark.parametrize("code", [1044, 1045, 1049, 1054, 1130, 1146, 3159])
def test_what_a_person_must_change_has_a_remedy(code: int) -> None:
    error = translate(operational(code), "here")

    assert isinstance(error, ConfigError)
    assert error.remedy


def test_a_denied_command_names_the_grant() -> None:
    for table in ("table 't'", "table `db`.`t`"):
        error = translate(operational(1142, f"DELETE command denied to user 'a'@'h' for {table}"), "here")
        name = "db.t" if "db" in table else "t"
        assert f"GRANT DELETE ON {name} TO 'a'@'h'" == error.remedy


def test_a_missing_global_privilege_is_the_most_modest_that_does() -> None:
    words = "Access denied; you need (at least one of) the SUPER, SLAVE MONITOR privilege(s) for this operation"

    assert translate(operational(1227, words), "here").remedy == "GRANT SLAVE MONITOR ON *.* to this user"


def test_a_certificate_problem_is_named() -> None:
    error = operational(2003, "Can't connect")
    cause = ssl.SSLCertVerificationError()
    cause.verify_message = "certificate has expired"
    error.original_exception = cause  # type: ignore[attr-defined]

    problem = translate(error, "here")

    assert isinstance(problem, TemporaryError)
    assert (problem.kind, problem.got) == ("tls", "certificate has expired")


def test_an_unknown_error_is_permanent_and_keeps_its_number() -> None:
    error = translate(pymysql.err.ProgrammingError(1064, "syntax"), "here")

    assert isinstance(error, PermanentError)
    assert "1064" in str(error)


def test_only_driver_errors_are_translated() -> None:
    with pytest.raises(KeyError), translated("here"):
        raise KeyError("mine")
    with pytest.raises(ConfigError, match="mine"), translated("here"):
        raise ConfigError("mine")
