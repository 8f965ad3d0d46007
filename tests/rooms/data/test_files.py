import ibis
import pytest

from shopkeeper.data.sources import _files


@pytest.fixture
def backend():
    return ibis.duckdb.connect(threads=1)


def _ids(backend, sql):
    backend.raw_sql(f"CREATE TEMP TABLE t AS SELECT * FROM (VALUES {sql}) AS t(place, id)")
    rows = backend.table("t")
    found = rows.select("place", id=_files.as_id(rows.id)).to_polars()
    return found.sort("place")["id"].to_list()


def test_ids_of_numbers_are_written_as_whole_numbers(backend):
    values = "(0, 17850.0::DOUBLE), (1, 'nan'::DOUBLE), (2, -3.0), (3, NULL), (4, 1.5)"
    assert _ids(backend, values) == ["17850", None, "-3", None, "1.5"]


def test_ids_of_text_keep_what_is_no_decimal_of_a_whole_number(backend):
    values = "(0, ' 17850.0 '), (1, 'NaN'), (2, 'A10.0'), (3, ''), (4, '007'), (5, '1.10')"
    assert _ids(backend, values) == ["17850", None, "A10.0", None, "007", "1.10"]
