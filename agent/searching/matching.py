"""One context condition as a query, over every form its field takes (pure): keyword, number, text, native, overflow.

A keyword keeps values up to 1 024 characters; what is longer is found by its words. The overflow keeps text only, so it
answers «equal», «contains» and «present», and no comparison.
"""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

from agent.errors import ConfigError
from agent.mapping.leaf import IGNORE_ABOVE
from agent.mapping.overflow import VALUE_BYTES, cut
from agent.searching.conditions import COMPARISONS, Condition, Operator
from agent.searching.fields import Field
from agent.searching.reader import Query

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
# Beyond this a double no longer tells neighbours apart; the keyword does.
_EXACT = 2**53
_ORDERED_TYPES = frozenset({"long", "double", "date", "ip"})
_WORD = re.compile(r"\w+")
_SPECIAL = re.compile(r"[\\*?]")


def matching(condition: Condition, field: Field) -> Query:
    """Return the query of a condition on a known field. Raises ConfigError where the field can't answer it."""
    if condition.operator is Operator.PRESENT:
        return present(field)
    if condition.operator is Operator.CONTAINS:
        return any_of([clause for value in condition.values for clause in _containing(value, field)])
    if condition.operator in COMPARISONS:
        return _compared(condition, field)
    equal = any_of([clause for value in condition.values for clause in _equal(value, field)])
    if condition.operator is Operator.EQUAL:
        return equal
    return {"bool": {"filter": [present(field)], "must_not": [equal]}}


def any_of(clauses: list[Query]) -> Query:
    """Return a query that one of the clauses suffices for."""
    if len(clauses) == 1:
        return clauses[0]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}


def present(field: Field) -> Query:
    """Return the query for documents that have the field, in whatever form."""
    names = [field.overflow]
    if field.is_mapped:
        # A keyword too long to be kept exists only as text.
        names += [field.name, *_subfields(field)]
    return any_of([{"exists": {"field": name}} for name in names])


def spellings(value: str) -> list[str]:
    """Return how the index may spell a value: as it was written, and as JSON writes the same number."""
    number = _number(value)
    if number is None:
        return [value]
    spelt = {value, orjson.dumps(number).decode()}
    return sorted(spelt | {str(int(number))} if number.is_integer() else spelt)


def wildcard(value: str) -> str:
    """Return a text for a wildcard pattern, its own special characters escaped."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], value)


def _equal(value: str, field: Field) -> list[Query]:
    spelt = spellings(value)
    clauses: list[Query] = [{"terms": {field.overflow: [cut(each, VALUE_BYTES) for each in spelt]}}]
    if "keyword" in field.types and _utf16_length(value) > IGNORE_ABOVE:
        clauses += [_unkept(field, {"match_phrase": {f"{field.name}.text": value}})] if field.text else []
    elif field.types == {"keyword"}:
        clauses.append({"terms": {field.name: spelt}})
    elif field.is_mapped:
        # Lenient: in another partition the same path may be of a type that this value is none of.
        clauses.append({"match": {field.name: {"query": value, "operator": "and", "lenient": True}}})
    number = _number(value)
    if field.number and number is not None:
        clauses.append({"term": {f"{field.name}.number": number}})
    return clauses


def _number(value: str) -> float | None:
    """Return the number a value is, None for text and for what a double can't tell from its neighbours."""
    number = float(value) if _NUMBER.fullmatch(value) else math.inf
    return number if abs(number) < _EXACT else None


def _containing(value: str, field: Field) -> list[Query]:
    ordered = field.types & _ORDERED_TYPES
    if ordered and ordered == field.types:
        remedy = f"compare it: {_path(field)}=value, {_path(field)}>=value"
        raise ConfigError(
            "~ looks into text, and the field has none", got=f"{_path(field)} is {_types(field)}", remedy=remedy
        )
    pattern: dict[str, Any] = {"value": f"*{wildcard(value)}*", "case_insensitive": True}
    clauses: list[Query] = [{"wildcard": {field.overflow: pattern}}]
    if "keyword" in field.types:
        clauses.append({"wildcard": {field.name: pattern}})
        if field.text:
            clauses.append(_unkept(field, _within_text(f"{field.name}.text", value, pattern)))
    if "text" in field.types:
        clauses.append(_within_text(field.name, value, pattern))
    return clauses


def _within_text(name: str, value: str, pattern: dict[str, Any]) -> Query:
    """Return the query for part of a word, or for words in their order."""
    if _WORD.fullmatch(value):
        return {"wildcard": {name: pattern}}
    return {"match_phrase": {name: value}}


def _compared(condition: Condition, field: Field) -> Query:
    value = condition.values[0]
    ordered = field.types & _ORDERED_TYPES
    if not field.number and not ordered:
        known = "lies in the overflow, where nothing is compared" if not field.is_mapped else "has never held a number"
        raise ConfigError(f"{condition.operator} compares numbers", got=f"{_path(field)} {known}", remedy="use = or ~")
    bound = COMPARISONS[condition.operator]
    numeric = _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))
    if not numeric and not ordered & {"date", "ip"}:
        raise ConfigError(f"{condition.operator} compares numbers", got=f"{_path(field)}{condition.operator}{value}")
    clauses: list[Query] = []
    if ordered:
        clauses.append({"range": {field.name: {bound: value}}})
    if field.number and numeric:
        clauses.append({"range": {f"{field.name}.number": {bound: float(value)}}})
    return any_of(clauses)


def _unkept(field: Field, query: Query) -> Query:
    """Return a query for documents whose value was too long for the keyword."""
    return {"bool": {"filter": [query], "must_not": [{"exists": {"field": field.name}}]}}


def _subfields(field: Field) -> list[str]:
    held = (("text", field.text), ("number", field.number))
    return [f"{field.name}.{name}" for name, there in held if there]


def _utf16_length(text: str) -> int:
    """Return the length as the server counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _path(field: Field) -> str:
    return field.name.removeprefix("context.")


def _types(field: Field) -> str:
    return " and ".join(sorted(field.types))
