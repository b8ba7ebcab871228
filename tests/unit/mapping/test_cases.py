"""Every case in tests/cases: the row becomes exactly the document beside it."""

from __future__ import annotations

import json

import pytest

from tests.mapping_cases import Case, cases


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_row_becomes_the_document(case: Case) -> None:
    documents, _ = case.build()

    document = documents[-1]

    assert case.document == json.loads(document.body)
    assert case.given["partition"] == document.partition
    assert document.key == f"whmcs:{document.id}"
    assert b"\n" not in document.body


def test_there_are_enough_cases_to_be_worth_the_name() -> None:
    assert len(cases()) >= 40
