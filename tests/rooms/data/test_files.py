import gc
import gzip
import random
import time
from pathlib import Path

import ibis
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper.data.sources import _csv, _files, _text
from shopkeeper.errors import BadConfig, BadData, ShopkeeperError
from shopkeeper.store.lake import Lake


@pytest.fixture
def backend():
    return ibis.duckdb.connect(threads=1)


def _ids(backend, sql):
    backend.raw_sql(f"CREATE TEMP TABLE t AS SELECT * FROM (VALUES {sql}) AS t(place, id)")
    rows = backend.table("t")
    found = rows.select("place", id=_files.as_id(rows.id)).to_polars()
    return found.sort("place")["id"].to_list()


def test_a_time_is_read_as_utc_unless_it_says_its_offset(tmp_path):
    backend = Lake(tmp_path / "lake").backend
    said = ["2010-12-01T08:26:00+01:00", "2010-12-01 08:26", "12/1/2010 8:26", "soon", None]
    rows = ibis.memtable(pl.DataFrame({"place": range(5), "time": said}))
    found = backend.to_polars(rows.select("place", time=_files.as_time(rows.time)))
    times = [time and time.strftime("%m-%d %H:%M") for time in found.sort("place")["time"]]
    assert times == ["12-01 07:26", "12-01 08:26", "12-01 08:26", None, None]


def test_ids_of_numbers_are_written_as_whole_numbers(backend):
    values = "(0, 17850.0::DOUBLE), (1, 'nan'::DOUBLE), (2, -3.0), (3, NULL), (4, 1.5)"
    assert _ids(backend, values) == ["17850", None, "-3", None, "1.5"]


def test_ids_of_text_keep_what_is_no_decimal_of_a_whole_number(backend):
    values = "(0, ' 17850.0 '), (1, 'NaN'), (2, 'A10.0'), (3, ''), (4, '007'), (5, '1.10')"
    assert _ids(backend, values) == ["17850", None, "A10.0", None, "007", "1.10"]


HEAD = b"id,title,words,n\n"
SOUND = b"1,tea,green,2\n"
LETTERS = random.Random(0).randbytes(_csv.LINE_MAX // 2 + 1).hex().encode()


def _rows(backend, path, content, **kwargs):
    path.write_bytes(content)
    return _files.open_rows(backend, [path], **kwargs).to_polars().sort("line")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"1,2,3\n", _csv.FEWER),
        (b"1,2,3,4,5\n", _csv.MORE),
        (b'1,2,"never closed,4\n', _csv.QUOTE),
        (b'1,2,"closed" early,4\n', _csv.QUOTE),
        ("1,2,caf\u00e9,4\n".encode("latin-1"), _csv.BYTES),
        (b"1,2," + LETTERS + b",4\n", _csv.LONG),
    ],
    ids=["fewer", "more", "open quote", "early quote", "latin-1", "long"],
)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_a_bad_row_says_why_at_its_line_and_the_others_are_read(
    backend, tmp_path, bad, problem, packed
):
    content = HEAD + SOUND * 3000 + bad + SOUND + b'9,"a ""b""\nc",d,e\n' + SOUND * 50
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    rows = _rows(backend, path, gzip.compress(content, mtime=0) if packed else content)
    assert rows["line"].to_list() == list(range(1, 3054))
    assert rows.filter(pl.col("problem").is_not_null()).rows() == [
        (None, None, None, None, 3001, problem)
    ]
    assert rows.row(3001)[:4] == ("1", "tea", "green", "2")
    assert rows.row(3002)[:4] == ("9", 'a "b"\nc', "d", "e")


@pytest.mark.parametrize(
    "odd",
    [b"5,6,7,8\r\n5,6,7,8\r", b"\n\n5,6,7,8\n5,6,7,8\n", b"5,6,7,8\r5,6,7,8\n"],
    ids=["crlf", "blank lines", "cr"],
)
def test_line_ends_may_be_mixed_and_blank_lines_are_no_rows(backend, tmp_path, odd):
    rows = _rows(backend, tmp_path / "t.csv", HEAD + SOUND * 10 + odd + SOUND)
    assert rows["problem"].null_count() == 13
    assert rows["id"].to_list() == ["1"] * 10 + ["5", "5", "1"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "txt"])
def test_what_stands_between_values_is_found(backend, tmp_path, delimiter, kind):
    lines = [["id", "name, short", "price"], ["1", "a, b", "3,50"], ["2", "c", "4,50"]]
    quoted = [delimiter.join(f'"{word}"' for word in line) for line in lines]
    rows = _rows(backend, tmp_path / f"t.{kind}", "\n".join(quoted).encode())
    assert rows.drop("line", "problem").rows() == [tuple(line) for line in lines[1:]]
    assert rows.columns[:3] == lines[0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_encodings_are_told_by_the_first_bytes_or_by_the_settings(backend, tmp_path, encoding):
    text = "id;preis\n1;3,50 €\n"
    content = ("\ufeff" * (encoding == "utf-16-le") + text).encode(encoding)
    told = {"encoding": "cp1252"} if encoding == "cp1252" else {}
    rows = _rows(backend, tmp_path / "t.csv", content, **told)
    assert rows.row(0) == ("1", "3,50 €", 1, None)
    assert rows.columns[0] == "id"


def test_copies_of_files_go_when_their_connection_goes(tmp_path):
    backend = ibis.duckdb.connect(threads=1, temp_directory=str(tmp_path / "spill"))
    rows = _rows(backend, tmp_path / "t.csv", "id,b\n1,é\n".encode("utf-16"))
    assert rows.height == 1
    assert len(list((tmp_path / "spill").glob("shopkeeper-rows-*"))) == 1
    del rows, backend
    gc.collect()
    assert not list((tmp_path / "spill").glob("shopkeeper-rows-*"))


def test_json_lines_are_columns_by_name_and_a_broken_line_is_one_bad_row(backend, tmp_path):
    lines = b'{"a": 1, "b": {"c": 2}}\n{"a": "x"\n[1]\n{"z": true, "a": null}\n\n{"a": 1.50}\n'
    rows = _rows(backend, tmp_path / "t.jsonl", lines + b'{"a": 2}\n')
    assert rows.select("a", "b", "z").rows() == [
        ("1", '{"c":2}', None), (None, None, None), (None, None, None), (None, None, "true"),
        ("1.5", None, None), ("2", None, None),
    ]  # fmt: skip
    assert rows["problem"].is_not_null().to_list() == [False, True, True, False, False, False]
    packed = _rows(backend, tmp_path / "t.ndjson.gz", gzip.compress(lines + b'{"a": 2}\n', mtime=0))
    assert packed.equals(rows)


def test_a_list_of_json_objects_is_a_table_too(backend, tmp_path):
    rows = _rows(backend, tmp_path / "t.json", b'[{"a": 1},\n {"b": 2}]')
    assert rows.rows() == [("1", None, 1, None), (None, "2", 2, None)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b"\n\n", "names no columns"),
        ("t.csv", b"id,b\n", "has columns but no rows"),
        ("t.csv", b"id,b\n1\n2\n3,4\n", "2 of 3 rows .* first row 1: the row has fewer"),
        ("t.csv", bytes(range(256)) * 50, "is not text in utf-8"),
        ("t.csv", b"a\0,b\n1,2\n", "is not text in utf-8"),
        ("t.csv", b"x" * 3_000_000, "names no columns"),
        ("t.csv", b",".join(b"c%d" % i for i in range(10_000)), "more than 1,000 columns"),
        (
            "t.csv.gz",
            gzip.compress(b"id,b\n" + b"1,2\n" * 9, mtime=0)[:-9],
            "broken or half-written",
        ),
        ("t.csv.gz", b"id,b\n1,2\n", "broken or half-written"),
        ("t.jsonl", b"hello\nworld\n", "holds no JSON objects"),
        ("t.jsonl", b'{"a": 1}\nx\ny\n', "2 of 3 rows"),
        ("t.json", b'[{"a": 1},', "broken or half-written"),
        ("t.doc", b"x", r"Give a \.parquet, \.csv"),
    ],
)
def test_a_file_that_is_no_table_is_one_clear_line(backend, tmp_path, name, content, says):
    began = time.monotonic()
    with pytest.raises(BadData, match=says) as error:
        _rows(backend, tmp_path / name, content)
    assert "\n" not in str(error.value)
    assert time.monotonic() - began < 30


def test_an_encoding_that_is_none_is_named(backend, tmp_path):
    with pytest.raises(BadConfig, match="klingon"):
        _rows(backend, tmp_path / "t.csv", b"a,b\n1,2\n", encoding="klingon")


def test_columns_get_names_of_their_own():
    given = ["id", "ID", "", "id", " a\nb "]
    assert _text.unique(given, Path("t.csv")) == (
        "id",
        "ID_2",
        "column_3",
        "id_3",
        "ab",
    )


def test_nul_bytes_and_huge_fields_in_values_are_kept(backend, tmp_path):
    content = HEAD + b"1,a\0b," + b"x" * 1_000_000 + b",4\n"
    (row,) = _rows(backend, tmp_path / "t.csv", content).rows()
    assert row[1] == "a\0b"
    assert len(row[2]) == 1_000_000


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.text('ab1,;"\n\r\t|\\\0é{}[]:', max_size=80), kind=st.sampled_from(["csv", "jsonl"])
)
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(backend, tmp_path, content, kind):
    said = ""
    try:
        rows = _rows(backend, tmp_path / f"t.{kind}", content.encode())
    except ShopkeeperError as error:
        said, rows = str(error), pl.DataFrame({"line": [1], "problem": ["all of it"]})[:0]
    assert "\n" not in said
    assert bool(said) == rows.is_empty()
    assert rows["line"].to_list() == list(range(1, rows.height + 1))
    assert rows["problem"].count() * 2 <= rows.height
