"""Ask one thing of a server for `check`; no answer is a line too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agent.checking.finding import Finding, Level, failure, warn
from agent.errors import AgentError, TemporaryError


def asked(
    name: str, question: Callable[[], Finding | Iterable[Finding]], *, level: Level = Level.FAIL
) -> Iterator[Finding]:
    """Yield what the question finds, and a line of `level` when it is answered by an error."""
    try:
        answer = question()
        if isinstance(answer, Finding):
            yield answer
        else:
            yield from answer
    except TemporaryError as denied:
        if denied.kind == "forbidden":
            # The missing permission has a line of its own; here it only says why nothing was seen.
            yield warn(name, f"not looked at: {denied.got} is denied", denied.remedy)
        else:
            yield failure(name, denied, level=level)
    except AgentError as error:
        yield failure(name, error, level=level)
