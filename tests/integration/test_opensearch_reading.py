"""Reading, deleting and rebuilding on a real node: counts are exact, whatever is beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.errors import PermanentError, TemporaryError
from agent.opensearch.client import url_path
from agent.opensearch.connection import answers_up_to, dumped
from agent.opensearch.facts import Facts
from agent.opensearch.reindex import Rebuild, Unequal
from agent.opensearch.search import PAGE_BYTES, Search, Window, next_page_rows
from tests.corner import Corner, corner_of

pytestmark = pytest.mark.integration

LONG = {"context": {"properties": {"duration_ms": {"type": "long"}}}}


class Interrupted(Exception):  # noqa: N818  it says what happened
    """Somebody pressed Ctrl-C."""


@pytest.fixture
def corner(opensearch: str) -> Iterator[Corner]:
    with corner_of(opensearch) as made:
        made.partitions.ensure("2026.11", {})
        yield made


def crc(row_id: int) -> int:
    return 2**32 - row_id


def ship(corner: Corner, ids: range | list[int], partition: str = "2026.11") -> None:
    documents = [corner.document(row_id, agent={"crc": crc(row_id)}) for row_id in ids]
    assert corner.ship(documents, partition) == {}


def test_deleted_documents_hide_no_living_one(corner: Corner) -> None:
    search, size = Search(corner.cluster, corner.names.read), 1000
    bare = {"range": {"id": {"gte": 0}}}
    kept: list[int] = []
    for first in range(1, 4_001, 400):
        batches = [list(range(start, start + 40)) for start in range(first, first + 400, 40)]
        for batch in batches:
            ship(corner, batch)
            search.refresh()
        living = [*kept, *range(first, first + 400)]
        for page in (
            [hit for hits in search.pages({"query": bare}, sort=({"id": "asc"},), size=size) for hit in hits],
            search.search({"query": bare, "size": size, "sort": [{"id": "asc"}]})["hits"]["hits"],
        ):
            assert [hit["_source"]["id"] for hit in page] == living
        kept = [first + 399]
        path = url_path(corner.names.read, "_delete_by_query")
        query = {"bool": {"must_not": [{"terms": {"id": kept}}]}}
        corner.cluster.call("POST", path, params={"refresh": "true"}, body={"query": query})


@pytest.mark.parametrize("width", [1, 7, 100, 10_000])
def test_windows_count_and_sum_exactly_at_their_edges(corner: Corner, width: int) -> None:
    ids = [*range(95, 206), 350]
    ship(corner, ids)
    wanted: dict[int, Window] = {}
    for row_id in ids:
        if 99 <= row_id <= 201:
            known = wanted.get(row_id // width, Window(0, 0))
            wanted[row_id // width] = Window(known.count + 1, known.crc_sum + crc(row_id))
    assert corner.search.id_windows("shop", 99, 201, width) == wanted


def test_windows_are_exact_for_sums_above_32_bits_and_ids_above_them(corner: Corner) -> None:
    start = 2**40
    ship(corner, range(start, start + 3000))
    found = corner.search.id_windows("shop", start, start + 2999, 10_000)
    assert sum(window.count for window in found.values()) == 3000
    assert sum(window.crc_sum for window in found.values()) == sum(crc(row_id) for row_id in range(start, start + 3000))


def test_another_instances_documents_are_not_counted(corner: Corner) -> None:
    ship(corner, [1, 2])
    other = corner.other("shop-2")
    other.partitions.ensure("2026.11", {})
    ship(other, [1, 2, 3])
    assert corner.search.id_windows("shop", 0, 10, 10) == {0: Window(2, crc(1) + crc(2))}
    assert Search(corner.cluster, corner.names.read_all).count({"match_all": {}}) == 5


def test_windows_of_no_index_at_all_are_empty(corner: Corner) -> None:
    assert corner.other("nobody").search.id_windows("nobody", 0, 10, 10) == {}


def test_a_document_in_two_partitions_is_seen_twice(corner: Corner) -> None:
    corner.partitions.ensure("2026.12", {})
    ship(corner, [1, 2, 3])
    ship(corner, [2], "2026.12")
    found = [(one.id, one.index, one.crc) for one in corner.documents.find([1, 2, 3, 4])]
    november, december = corner.index(), corner.index("2026.12")
    assert found == [(1, november, crc(1)), (2, november, crc(2)), (2, december, crc(2)), (3, november, crc(3))]


def test_every_document_of_many_ids_is_found_with_its_checksum(corner: Corner) -> None:
    many = range(2**40, 2**40 + 5003)
    ship(corner, many)
    wanted = [(row_id, crc(row_id)) for row_id in many]
    assert [(one.id, one.crc) for one in corner.documents.find(range(2**40 - 5, 2**40 + 6000))] == wanted


def test_a_strange_document_under_a_rows_key_counts_as_no_document_of_it(corner: Corner) -> None:
    ship(corner, [1, 3])
    corner.cluster.call("PUT", url_path(corner.index(), "_doc", *corner.keys(2)), body={"instance": "shop"})
    corner.cluster.call("PUT", url_path(corner.index(), "_doc", *corner.keys(4)), body={"instance": "shop", "id": 4})
    corner.search.refresh()
    assert [(one.id, one.crc) for one in corner.documents.find([1, 2, 3, 4])] == [(1, crc(1)), (3, crc(3)), (4, None)]


@pytest.mark.parametrize("size", [1, 249, 250, 251])
def test_pages_bring_each_document_once(corner: Corner, size: int) -> None:
    if size > 1:
        ship(corner, range(1, 251))
        wanted = 250
    else:
        ship(corner, range(1, 6))
        wanted = 5
    body = {"query": {"match_all": {}}, "_source": ["id"]}
    sort = ({"created_at": "desc"}, {"id": "desc"})
    found = [hit["_source"]["id"] for page in corner.search.pages(body, sort=sort, size=size) for hit in page]
    assert found == list(range(wanted, 0, -1))


def heavy(corner: Corner, ids: range, size_bytes: int) -> None:
    """Ship documents of so many bytes each."""
    for start in range(ids.start, ids.stop, 8):
        part = range(start, min(start + 8, ids.stop))
        assert corner.ship([corner.document(row_id, context_text="x" * size_bytes) for row_id in part]) == {}


def sizes(corner: Corner, size: int = 2500) -> list[tuple[int, int]]:
    """Return the number of rows and of bytes of each page; no row comes twice or is left out."""
    pages = list(corner.search.pages({"query": {"match_all": {}}}, sort=({"id": "asc"},), size=size))
    ids = [hit["_source"]["id"] for page in pages for hit in page]
    assert ids == list(range(1, len(ids) + 1)) and len(ids) == corner.search.count({"match_all": {}})
    return [(len(page), len(dumped(page))) for page in pages]


def test_pages_of_whole_documents_are_small_where_those_are_large(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    aim = 200_000
    monkeypatch.setattr("agent.opensearch.search.PAGE_BYTES", aim)
    ship(corner, range(1, 301))
    heavy(corner, range(301, 381), 20_000)
    ship(corner, range(381, 801))
    found = sizes(corner)
    assert [rows for rows, _ in found[:3]] == [10, 40, 160], "light ones: four times as many each time"
    after = next(place for place, (_, size_bytes) in enumerate(found) if size_bytes > aim) + 1
    assert all(size_bytes <= 2 * aim for _, size_bytes in found[after:]), found
    assert len(found) < 40


def test_an_answer_that_would_not_fit_is_asked_for_in_smaller_pages(
    corner: Corner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ship(corner, range(1, 601))
    heavy(corner, range(601, 651), 10_000)
    monkeypatch.setattr("agent.opensearch.search.MOST_PAGE_BYTES", 60_000)
    assert max(size_bytes for _, size_bytes in sizes(corner)) < 60_000

    monkeypatch.setattr("agent.opensearch.search.MOST_PAGE_BYTES", 9_000)
    assert [rows for rows, size_bytes in sizes(corner) if size_bytes > 9_000] == [1] * 50, "alone it is read"
    with answers_up_to(9_000), pytest.raises(TemporaryError, match="too large") as failure:
        sizes(corner)
    assert (failure.value.kind, "fewer rows" in (failure.value.remedy or "")) == ("large_answer", True)


@pytest.mark.parametrize(
    ("rows", "size_bytes", "wanted"),
    [
        (25, 50_000, 100),
        (1600, 3_000_000, 2500),
        (100, PAGE_BYTES * 2, 50),
        (25, 75 << 20, 2),
        (1, 50 << 20, 1),
        (1, 0, 4),
    ],
)
def test_the_next_page_follows_from_what_the_last_one_held(rows: int, size_bytes: int, wanted: int) -> None:
    assert next_page_rows(rows, size_bytes, 2500) == wanted


def open_searches(corner: Corner) -> int:
    nodes = corner.cluster.call("GET", "/_nodes/stats/indices/search")["nodes"].values()
    return sum(node["indices"]["search"]["point_in_time_current"] for node in nodes)


def test_the_point_in_time_is_closed_when_the_reader_leaves_early(corner: Corner) -> None:
    ship(corner, range(1, 30))
    before = open_searches(corner)
    pages = corner.search.pages({"query": {"match_all": {}}}, sort=({"id": "asc"},), size=10)
    next(pages)
    assert open_searches(corner) == before + 1
    pages.close()  # type: ignore[attr-defined]  # a generator, as every iterator with a `finally` is
    assert open_searches(corner) == before


def test_pages_do_not_see_what_comes_later(corner: Corner) -> None:
    ship(corner, range(1, 11))
    pages = corner.search.pages({"query": {"match_all": {}}}, sort=({"id": "asc"},), size=5)
    first = next(pages)
    ship(corner, range(11, 21))
    assert len(first) + sum(len(page) for page in pages) == 10


def test_undated_documents_are_paged_too(corner: Corner) -> None:
    documents = [corner.document(row_id, created_at=None) for row_id in range(1, 8)]
    assert corner.ship(documents) == {}
    pages = corner.search.pages({"query": {"match_all": {}}}, sort=({"created_at": "desc"}, {"id": "asc"}), size=3)
    assert [hit["_source"]["id"] for page in pages for hit in page] == list(range(1, 8))


def test_a_missing_index_is_one_clear_line(corner: Corner) -> None:
    with pytest.raises(TemporaryError) as failure:
        corner.other("nobody").search.count({"match_all": {}})
    assert failure.value.kind == "missing_index"


def test_deleting_by_id_counts_what_was_there_and_repeats(corner: Corner) -> None:
    ship(corner, [1, 2, 3])
    pairs = [(corner.index(), 1), (corner.index(), 2), (corner.index(), 99), ("no-such-index", 1)]
    assert corner.documents.delete(pairs) == 2
    assert corner.documents.delete(pairs) == 0
    corner.search.refresh()
    assert [one.id for one in corner.documents.find(range(5))] == [3]


def test_deleting_by_query_is_bounded_and_counted(corner: Corner) -> None:
    ship(corner, range(1, 11))
    query = {"range": {"id": {"lte": 8}}}
    assert corner.documents.delete_by_query(corner.names.read, query, most=5).deleted == 5
    assert corner.documents.delete_by_query(corner.names.read, query).deleted == 3
    assert corner.documents.delete_by_query(corner.names.read, query).deleted == 0
    assert corner.documents.count({"match_all": {}}) == 2


def test_deleting_from_a_blocked_index_says_so(corner: Corner) -> None:
    ship(corner, range(1, 4))
    settings = url_path(corner.index(), "_settings")
    corner.cluster.call("PUT", settings, body={"index.blocks.write": True})
    try:
        for delete in (
            lambda: corner.documents.delete_by_query(corner.names.read, {"match_all": {}}),
            lambda: corner.documents.delete([(corner.index(), 1)]),
        ):
            with pytest.raises(TemporaryError) as failure:
                delete()
            assert failure.value.kind == "blocked"
    finally:
        corner.cluster.call("PUT", settings, body={"index.blocks.write": None})
    assert corner.documents.count({"match_all": {}}) == 3


def rebuild_of(corner: Corner) -> Rebuild:
    return Rebuild(corner.cluster, corner.names, corner.partitions)


def no_wait(_: float) -> None:
    """Poll again at once."""


def test_a_rebuild_applies_a_mapping_and_loses_nothing_written_meanwhile(corner: Corner) -> None:
    assert corner.ship([corner.document(n, context={"duration_ms": str(n)}) for n in range(1, 301)]) == {}
    rebuild = rebuild_of(corner)
    old, left = rebuild.indices("2026.11")
    assert left is None
    new = rebuild.create_next("2026.11", old, LONG)
    copied = rebuild.copy(old.index, new, sleep=no_wait, progress=lambda _done, _total: None)
    assert (copied.total, copied.created) == (300, 300)
    corner.ship([corner.document(301), corner.document(7, detail="renewed", agent={"crc": 5})])
    assert list(rebuild.unequal(old.index, new)) == [Unequal("shop:7", 5, 7007), Unequal("shop:301", 301_007, None)]
    rebuild.swap("2026.11", old.index, new)
    corner.ship([corner.document(302)])
    rebuild.seal(old.index)
    copied = rebuild.copy(old.index, new, sleep=no_wait, progress=lambda _done, _total: None)
    assert (copied.created, copied.updated, copied.unchanged) == (1, 1, 299)
    assert list(rebuild.unequal(old.index, new)) == [Unequal("shop:302", None, 302_007)]
    with pytest.raises(PermanentError):
        rebuild.drop(new)
    rebuild.drop(old.index)
    rebuild.drop(old.index)
    assert [(found.index, found.current) for found in corner.partitions.listed()] == [(new, True)]
    assert corner.search.count({"range": {"context.duration_ms": {"gte": 10, "lte": 19}}}) == 10
    assert corner.search.count({"match_all": {}}) == 302


def test_an_interrupted_rebuild_is_found_again_and_never_chosen_by_a_repair(corner: Corner) -> None:
    ship(corner, range(1, 2001))
    rebuild = rebuild_of(corner)
    old, _ = rebuild.indices("2026.11")
    new = rebuild.create_next("2026.11", old, LONG)

    def interrupt(_: float) -> None:
        raise Interrupted

    def stop_at_once(_done: int, _total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        rebuild.copy(old.index, new, sleep=interrupt, progress=stop_at_once)
    corner.cluster.call("DELETE", url_path(old.index, "_alias", corner.names.alias("2026.11")))
    corner.partitions.ensure("2026.11", {})
    again, left = rebuild.indices("2026.11")
    assert again.index == old.index
    assert left is not None
    assert left.index == new
    assert rebuild.create_next("2026.11", again, LONG) == new
    rebuild.copy(old.index, new, sleep=no_wait, progress=lambda _done, _total: None)
    assert list(rebuild.unequal(old.index, new)) == []


def test_a_rebuilt_index_is_a_full_citizen_when_its_alias_is_lost(corner: Corner) -> None:
    ship(corner, [1])
    rebuild = rebuild_of(corner)
    old, _ = rebuild.indices("2026.11")
    new = rebuild.create_next("2026.11", old, LONG)
    rebuild.copy(old.index, new, sleep=no_wait, progress=lambda _done, _total: None)
    rebuild.swap("2026.11", old.index, new)
    rebuild.swap("2026.11", old.index, new)
    corner.cluster.call("DELETE", url_path(new, "_alias", corner.names.alias("2026.11")))
    corner.partitions.ensure("2026.11", {})
    assert [found.index for found in corner.partitions.listed() if found.current] == [new]


def test_facts_of_a_plain_node(corner: Corner) -> None:
    facts = Facts(corner.cluster, corner.names)
    assert facts.version().distribution == "opensearch"
    assert facts.version().parts >= (2, 11)
    assert facts.health().data_nodes >= 1
    free = facts.free_shards()
    assert free is not None
    assert free > 0
    disks = facts.disks()
    assert disks
    assert all(0 < disk.free_bytes <= disk.total_bytes for disk in disks)
    assert facts.blocks() == {}
    corner.cluster.call("PUT", url_path(corner.index(), "_settings"), body={"index.blocks.write": True})
    assert facts.blocks() == {corner.index(): ["index.blocks.write"]}
    corner.cluster.call("PUT", url_path(corner.index(), "_settings"), body={"index.blocks.write": None})
