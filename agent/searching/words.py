"""Full text: the words somebody is looking for, over the one-line detail and everything in the context (pure).

    timed out       both words, anywhere in the row       "timed out"   these words in this order
    timeou*         words that begin so

A word is looked for wherever text is; words of one search may be found in different places of the row.
"""

from __future__ import annotations

import re

from agent.errors import ConfigError
from agent.searching.matching import any_of
from agent.searching.reader import Query

TEXTS = ("detail", "context_text")
# Whole values: an action or a module is one word here, and so is an address.
NAMES = ("action", "module_slug", "ip_address.keyword")

_PART = re.compile(r'"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+)')
_BEGINNING = re.compile(r"\w+\*")
_ANY_WORD = re.compile(r"[^\W_]")


def text_query(text: str) -> list[Query]:
    """Return one clause a word or phrase. Raises ConfigError when there is none."""
    parts = [match["phrase"] if match["phrase"] is not None else match["word"] for match in _PART.finditer(text)]
    # Signs alone stand in no index.
    words = [part for part in parts if _ANY_WORD.search(part)]
    if not words:
        raise ConfigError("--text holds no word to look for", got=repr(text))
    return [_beginning(word[:-1]) if _BEGINNING.fullmatch(word) else _found(word) for word in words]


def _found(word: str) -> Query:
    # As a phrase, because what is one word to a person (`node-7`) may be two to the index.
    clauses: list[Query] = [{"match_phrase": {name: word}} for name in TEXTS]
    return any_of(clauses + [{"term": {name: {"value": word, "case_insensitive": True}}} for name in NAMES])


def _beginning(word: str) -> Query:
    pattern = {"value": word, "case_insensitive": True}
    return any_of([{"prefix": {name: pattern}} for name in (*TEXTS, *NAMES)])
