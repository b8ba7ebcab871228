"""The state document: one per instance, written by compare-and-set, so that of two agents only one can go on.

Reads are realtime (by id), so no refresh is needed. A write whose answer was lost is looked up before anything is
said about it: found as sent, it is ours; found unchanged, it did not happen yet; anything else is another writer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from agent.errors import PermanentError, TemporaryError
from agent.opensearch.answers import Refused, printable
from agent.opensearch.client import Cluster, url_path
from agent.opensearch.connection import dumped


class Fenced(PermanentError):  # noqa: N818  it says what happened
    """Say that another agent wrote since: this one must not write any more on what it believed."""


@dataclass(frozen=True, slots=True)
class Token:
    """The version of a document that a write is based on."""

    seq_no: int
    primary_term: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A state document and the token to replace it with."""

    document: dict[str, Any]
    token: Token


class StateStore(Protocol):
    """One document per instance."""

    def read(self) -> Kept | None:
        """Return the document, None when there is none (nor its index).

        Raises TemporaryError when it cannot be read now, PermanentError when what is there is no state document:
        neither ever means «begin at 0».
        """
        ...

    def write(self, document: dict[str, Any], token: Token | None) -> Token:
        """Replace the document the token stands for, or create it when the token is None; return the next token.

        Raises Fenced when the document is not, or no longer, what the token says; TemporaryError when the outcome is
        unknown or nothing was written: the same write may be repeated with the same token.
        """
        ...


class ClusterState:
    """The document `<instance>` in the state index."""

    def __init__(self, cluster: Cluster, index: str, instance: str) -> None:
        self._cluster = cluster
        self._path = url_path(index, "_doc", instance)
        self._create_path = url_path(index, "_create", instance)

    def read(self) -> Kept | None:
        """Read; see `StateStore`."""
        answer = self._cluster.answer("GET", self._path, accept=(404,))
        found = answer.body
        if answer.status == 404 and answer.fault_type == "index_not_found_exception":
            return None
        if not isinstance(found, dict) or not isinstance(found.get("found"), bool):
            # Something in between has answered: what it does not know of may well be there.
            raise _foreign(f"GET {self._path}", found)
        if not found["found"]:
            return None
        document = found.get("_source")
        if not isinstance(document, dict):
            remedy = "restore the index from a snapshot, or begin again on purpose with `sync --restart`"
            raise PermanentError("the state document is unreadable", where=self._path, remedy=remedy)
        return Kept(document, Token(found["_seq_no"], found["_primary_term"]))

    def write(self, document: dict[str, Any], token: Token | None) -> Token:
        """Write; see `StateStore`."""
        body = dumped(document)
        params = {"if_seq_no": str(token.seq_no), "if_primary_term": str(token.primary_term)} if token else {}
        try:
            answer = self._cluster.answer(
                "PUT", self._path if token else self._create_path, params=params, body=body, accept=(409,)
            )
        except TemporaryError as failure:
            return self._looked_up(body, token, failure)
        except Refused as refusal:
            # The document's absence makes a conditional write a refusal of its own in some versions.
            raise TemporaryError(
                "the state document cannot be written", where=refusal.where, got=refusal.got, kind="refused"
            ) from refusal
        if answer.status == 409:
            # Perhaps our own, sent twice because a node went away in between.
            return self._looked_up(body, token, None)
        if not isinstance(answer.body, dict) or "_seq_no" not in answer.body:
            return self._looked_up(body, token, _foreign(f"PUT {self._path}", answer.body))
        return Token(answer.body["_seq_no"], answer.body["_primary_term"])

    def _looked_up(self, body: bytes, token: Token | None, failure: TemporaryError | None) -> Token:
        """Decide from what is stored now whether a write of unknown outcome was done."""
        try:
            kept = self.read()
        except TemporaryError as again:
            raise failure or again from again
        if kept and kept.document == orjson.loads(body):
            return kept.token
        if failure is not None and (kept.token if kept else None) == token:
            raise failure
        raise Fenced(
            "another agent writes the state of this instance",
            where=self._path,
            got="the document was removed" if kept is None else f"it is at {kept.token.seq_no}",
            remedy="run one agent per instance",
        )


def _foreign(where: str, got: object) -> TemporaryError:
    remedy = "check that opensearch.hosts names OpenSearch itself, and what stands in between"
    return TemporaryError(
        "the answer is not OpenSearch's", where=where, got=printable(got)[:80], remedy=remedy, kind="not_json"
    )
