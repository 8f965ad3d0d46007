import polars as pl
import pytest

from shopkeeper.errors import BadData
from shopkeeper.evaluation.judged import quality, read_judged


def _write(folder, products=None, queries=None, judgements=None):
    (folder / "products.csv").write_text(products or "ID,title,Shape\n1,Red mug,clay\n2,Cup,\n")
    (folder / "queries.csv").write_text(queries or "query_id,query\nq,mug\nr,cup\ns,mug\n")
    (folder / "judged.csv").write_text(
        judgements or "query_id,id,grade\nq,1,2\nq,2,1\nr,2,1\nr,1,0\nr,9,3\nz,1,1\ns,2,1\n"
    )
    return [folder / f"{name}.csv" for name in ("products", "queries", "judged")]


def test_judgements_of_known_queries_and_products_count(tmp_path):
    judged = read_judged(*_write(tmp_path))
    assert judged.queries == {"q": "mug", "r": "cup", "s": "mug"}
    assert judged.grades == {"q": {"1": 2.0, "2": 1.0}, "r": {"2": 1.0}, "s": {"2": 1.0}}
    assert judged.products["description"].to_list() == ["clay", ""]


def test_parquet_says_the_same_as_csv(tmp_path):
    files = _write(tmp_path)
    for file in files:
        pl.read_csv(file).write_parquet(file.with_suffix(".parquet"))
    judged = read_judged(*(file.with_suffix(".parquet") for file in files))
    assert judged.grades == read_judged(*files).grades


def test_a_list_is_judged_by_grades_over_the_whole_catalogue(tmp_path):
    judged = read_judged(*_write(tmp_path))
    shown = {"q": ["2", "7", "1"], "r": ["9", "2"]}
    rows = {row["query_id"]: row for row in quality(judged, shown).to_dicts()}
    best = 2 + 1 / 1.584962500721156
    assert rows["q"]["ndcg@10"] == pytest.approx((1 + 2 / 2) / best)
    assert rows["q"]["recall@10"] == 1.0
    assert rows["r"]["mrr"] == 0.5
    assert rows["s"]["ndcg@10"] == 0.0


def test_equal_texts_fall_on_one_side_of_a_split(tmp_path):
    judged = read_judged(*_write(tmp_path))
    sides = [judged.split(0.5, seed) for seed in range(8)]
    for left, right in sides:
        assert {*left.queries, *right.queries} == {"q", "r", "s"}
        assert not set(left.queries.values()) & set(right.queries.values())
    assert {len(left.queries) for left, _ in sides} == {1, 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"queries": "query,id\nx,1\n"}, "no column 'query_id'"),
        ({"judgements": "query_id,id,grade\nq,1,good\n"}, "no number"),
        ({"judgements": "query_id,id,grade\nq,1,-1\n"}, "below 0"),
        ({"judgements": "query_id,id,grade\nq,77,1\n"}, "written alike"),
    ],
)
def test_files_that_do_not_fit_are_one_clear_line(tmp_path, change, said):
    with pytest.raises(BadData, match=said) as error:
        read_judged(*_write(tmp_path, **change))
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_of_another_kind_is_named(tmp_path):
    files = _write(tmp_path)
    with pytest.raises(BadData, match=r"no file .*none\.csv"):
        read_judged(tmp_path / "none.csv", *files[1:])
    (tmp_path / "page.html").write_text("<html>")
    with pytest.raises(BadData, match=r"ends in '\.html'"):
        read_judged(tmp_path / "page.html", *files[1:])
