"""The one error of the demo: something is not on this machine, and one line says what to do about it."""

from __future__ import annotations


class Missing(Exception):  # noqa: N818 - reads as what it is: something missing
    """Say in one line what is missing and its remedy."""

    def __init__(self, what: str, *, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(what, remedy)

    def __str__(self) -> str:
        return f"{self.what} — remedy: {self.remedy}".replace("\n", " ")
