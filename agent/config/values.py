"""Rules for single values: what is accepted, what it becomes, and the sentence that says so when it is not.

Every key of every file has one of these rules, so a message and the reference always state the same thing. A rule
also accepts text that came out of `${NAME}`, where YAML cannot know a number from a word.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from agent.config.problems import did_you_mean


def refuse(allowed: str, *, hint: str = "", got: str | None = None, at: tuple[str | int, ...] = ()) -> NoReturn:
    """Refuse the value, or what lies at a path below it.

    `got` replaces the value itself in the message.
    """
    context = {"allowed": allowed, "hint": hint, "got": got, "at": at}
    raise PydanticCustomError("refused", "{allowed}", context)


def refuse_all(refusals: Sequence[PydanticCustomError]) -> NoReturn:
    """Refuse several things below one value, so that a person meets all of them at once."""
    raise PydanticCustomError("refused", "several", {"several": [refusal.context for refusal in refusals]})


def split_commas(value: object) -> object:
    """Let one line, or one variable, name several: `a,b` is a list of two."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


class Rule(ABC):
    """Read one value of a file; a Path it returns counts from the folder of that file."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """Say what is accepted, as the end of the sentence «allowed …»."""

    @abstractmethod
    def read(self, value: object) -> Any:
        """Return what the value means, or refuse it."""

    def show(self, value: Any) -> object:
        """Return the value as it may be printed: this is what dumps of the settings hold."""
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: object, info: ValidationInfo) -> Any:
            found = self.read(value)
            return (info.context or {}).get("folder", Path()) / found if isinstance(found, Path) else found

        shown = core_schema.plain_serializer_function_ser_schema(self.show, when_used="json")
        return core_schema.with_info_plain_validator_function(validate, serialization=shown)


def not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list without an item."""
    if not values:
        refuse("at least one", got="an empty list")
    return values


@dataclass(frozen=True)
class WholeNumber(Rule):
    """Take an integer within bounds; no fraction, no exponent, no true/false."""

    lowest: int
    highest: int
    note: str = ""

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.lowest} to {self.highest}{self.note}"

    def read(self, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.lowest <= value <= self.highest:
            refuse(self.allowed)
        return value


@dataclass(frozen=True)
class Number(Rule):
    """Take a number within bounds, fractions included."""

    lowest: float
    highest: float

    @property
    def allowed(self) -> str:
        return f"a number from {self.lowest:g} to {self.highest:g}"

    def read(self, value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.lowest <= value <= self.highest:
            refuse(self.allowed)
        return value


@dataclass(frozen=True)
class Flag(Rule):
    """Take true or false."""

    @property
    def allowed(self) -> str:
        return "true or false"

    def read(self, value: object) -> bool:
        if isinstance(value, str):
            value = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}.get(
                value.lower(), value
            )
        if not isinstance(value, bool):
            refuse(self.allowed)
        return value


class OneOf(Rule):
    """Take one of a few words; `instead` explains words people bring along from elsewhere."""

    def __init__(self, *words: str, instead: dict[str, str] | None = None) -> None:
        self.words = words
        self._instead = instead or {}

    @property
    def allowed(self) -> str:
        return " | ".join(self.words)

    def read(self, value: object) -> str:
        word = value.lower() if isinstance(value, str) else value
        if word not in self.words:
            meant = self._instead.get(str(word))
            hint = f"; did you mean «{meant}»?" if meant else did_you_mean(str(word), self.words)
            refuse(self.allowed, hint=hint if isinstance(value, str) else "")
        return str(word)


@dataclass(frozen=True)
class Text(Rule):
    """Take text, optionally of a pattern; a bare number is refused because YAML would have lost its zeros."""

    allowed_text: str = "text"
    pattern: str = r"(?s).+"
    longest: int = 1000

    @property
    def allowed(self) -> str:
        return self.allowed_text

    def read(self, value: object) -> str:
        if isinstance(value, bool | int | float):
            refuse(self.allowed, hint="; put it in quotes if it is meant as text")
        if not isinstance(value, str) or len(value) > self.longest or not re.fullmatch(self.pattern, value):
            refuse(self.allowed)
        return value


@dataclass(frozen=True)
class Size(Rule):
    """Take bytes: a whole number, or a number with B, KB, MB or GB, each 1024 of the one before."""

    lowest: int
    highest: int

    @property
    def allowed(self) -> str:
        return (
            f"bytes from {size_text(self.lowest)} to {size_text(self.highest)}, as 5000000 or 5MB (1MB = 1024 × 1024)"
        )

    def read(self, value: object) -> int:
        if isinstance(value, str):
            match = re.fullmatch(r"(?i)([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*([KMG]i?B?|B)?", value.strip())
            value = round(float(match[1]) * _UNITS[(match[2] or "b")[0].lower()]) if match else value
        if isinstance(value, bool) or not isinstance(value, int) or not self.lowest <= value <= self.highest:
            refuse(self.allowed)
        return value

    def show(self, value: Any) -> object:
        return size_text(value)


_UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def size_text(size: int) -> str:
    """Write bytes with the largest unit that loses nothing."""
    for letter in "gmk":
        if size and size % _UNITS[letter] == 0:
            return f"{size // _UNITS[letter]}{letter.upper()}B"
    return f"{size}B" if size else "0"


@dataclass(frozen=True)
class Checked(Rule):
    """Take whatever a function accepts; the function returns the value or refuses it."""

    allowed_text: str
    check: Callable[[object], Any]

    @property
    def allowed(self) -> str:
        return self.allowed_text

    def read(self, value: object) -> Any:
        return self.check(value)
