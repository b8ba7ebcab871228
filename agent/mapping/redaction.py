"""Redaction: no secret leaves the process, neither under a telling key nor inside a text.

Promises: under a key that names a secret the whole value (object and array too) is replaced; in every string what a
detector knows is replaced, and what follows `password=` and its like; texts that were never decoded get the same
treatment. `[redacted:<rule>]` stands in its place, counted per rule. Booleans and nulls stay: they hold no secret.
Redacting twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias

from agent.mapping.clean_texts import CleanTexts
from agent.mapping.detectors import DETECTORS, EMAIL, Detector
from agent.mapping.gate import gate
from agent.mapping.judged_texts import JudgedTexts, Judgement
from agent.mapping.pairs import SEPARATORS, Pairs
from agent.mapping.rules import FieldRules
from agent.mapping.secret_keys import SecretKeys, is_replaced

Counts: TypeAlias = dict[str, int]

_LICENCE = re.compile(r"[A-Z]{2,10}-")
_ESCAPED = r"\\u00[0-7]"  # an escaped ASCII letter could hide a needle from the gate; writers escape others only


class Redaction:
    """Replace secrets, by the rules of `context_fields.yml` on top of the built-in ones."""

    def __init__(self, rules: FieldRules | None = None) -> None:
        rules = rules or FieldRules()
        self._keys = SecretKeys(rules.redact_keys)
        self._pairs = Pairs(self._keys)
        chosen = [rule for rule in DETECTORS if rules.detectors is None or rule.name in rules.detectors]
        if rules.email or (rules.detectors is not None and EMAIL.name in rules.detectors):
            chosen.append(EMAIL)
        self._detectors = chosen
        self._custom = [Detector(name, (), compiled(pattern)) for name, pattern in rules.patterns]
        self._needles = gate({needle for rule in chosen for needle in rule.needles}, _ESCAPED).search
        self._separators = gate((), *SEPARATORS).search
        self._words = gate(self._keys.needles).search
        self._chosen = [(rule, *_by_case(rule.needles)) for rule in chosen]
        self.clean = CleanTexts(self.suspects)
        self._judged = JudgedTexts(self._judge)

    def key_rule(self, key: str) -> str | None:
        """Return the rule that makes this key's value a secret, if any."""
        return self._keys.rule(key)

    def suspects(self, text: str) -> bool:
        """Return whether a text can hold a secret at all: the cheap question asked for every row."""
        return self._is_suspect(text) or ('":' in text and self._words(text) is not None)

    def suspects_json(self, text: str) -> bool:
        """Return the same of a valid JSON text: its keys are judged apart, so only its strings matter.

        A pair inside a string needs a separator there, and few strings have one; the quote before a colon tells
        that the colon is JSON's own.
        """
        return self._is_suspect(text)

    def _is_suspect(self, text: str) -> bool:
        if self._custom or self._needles(text) is not None:
            return True
        return (self._separators(text) is not None or " is " in text or " was " in text) and self._words(
            text
        ) is not None

    def value(self, value: Any, counts: Counts, *, texts: bool) -> Any:
        """Return a parsed value without its secrets; `texts` says whether the strings must be looked into."""
        kind = value.__class__
        if kind is str:
            return self.text(value, counts) if texts else value
        if kind is list:
            return [self.value(item, counts, texts=texts) for item in value]
        return self._object(value, counts, texts=texts) if kind is dict else value

    def _object(self, value: dict[str, Any], counts: Counts, *, texts: bool) -> dict[str, Any]:
        result = {}
        for key, item in value.items():
            rule = self._keys.rule(key)
            name = self.text(key, counts) if texts else key
            kind = item.__class__
            if rule is not None and self._keys.is_secret(key, item) and not is_replaced(item):
                result[name] = self.replaced(rule, item, counts)
            elif kind is str:
                result[name] = self.text(item, counts) if texts else item
            elif kind is dict or kind is list:
                result[name] = self.value(item, counts, texts=texts)
            else:
                result[name] = item
        return result

    def replaced(self, rule: str, item: Any, counts: Counts) -> str:
        """Return what stands for a secret value; a licence key keeps its product's prefix."""
        counts[rule] = counts.get(rule, 0) + 1
        prefix = _LICENCE.match(item) if rule == "license_key" and isinstance(item, str) else None
        return f"{prefix[0] if prefix else ''}[redacted:{rule}]"

    def text(self, text: str, counts: Counts) -> str:
        """Return a text, decoded or not, without its secrets."""
        if text in self.clean or self.clean.vouches(text):
            return text
        found, replaced = self._judged.judged(text)
        for rule, count in replaced.items():
            counts[rule] = counts.get(rule, 0) + count
        if found == text:
            self.clean.remember(text)
        return found

    def _judge(self, text: str) -> Judgement:
        counts: Counts = {}
        found = self._pairs.redacted(self._without_known(text, counts), counts)
        for rule in self._custom:
            found = _apply(rule, found, counts)
        return found, counts

    def _without_known(self, text: str, counts: Counts) -> str:
        """Return a text without what the detectors know; only those whose needles occur are tried."""
        lowered = text.lower()
        for rule, any_case, exact in self._chosen:
            for needle in any_case:
                if needle in lowered:
                    text = _apply(rule, text, counts)
                    break
            else:
                for needle in exact:
                    if needle in text:
                        text = _apply(rule, text, counts)
                        break
        return text


LONGEST_PATTERN = 500


def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a rule a person wrote; one that is longer than LONGEST_PATTERN or matches nothing at all is refused."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"a redaction pattern may have at most {LONGEST_PATTERN} characters")
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"a redaction pattern must be a regular expression: {error}") from error
    if found.search("") is not None:
        raise ValueError("a redaction pattern must not match the empty text")
    return found


def _apply(rule: Detector, text: str, counts: Counts) -> str:
    text, count = rule.pattern.subn(rule.replacement, text)
    if count:
        counts[rule.name] = counts.get(rule.name, 0) + count
    return text


def _by_case(needles: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part needles in lower case, which are found in any case of letters, from those found as they are written."""
    return [needle for needle in needles if needle == needle.lower()], [
        needle for needle in needles if needle != needle.lower()
    ]
