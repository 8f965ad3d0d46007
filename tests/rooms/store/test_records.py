import threading

import polars as pl
import pytest

from shopkeeper import schema
from shopkeeper.errors import BadConfig, NotFound
from shopkeeper.store.records import Records


def _products(*titles):
    ids = [f"p{i}" for i in range(len(titles))]
    return schema.conform(pl.DataFrame({"id": ids, "title": titles}), schema.PRODUCTS)


@pytest.fixture
def records(tmp_path):
    made = Records(f"sqlite:///{tmp_path}/shop.db")
    yield made
    made.close()


def test_products_come_back_as_they_went_in_and_the_latest_wins(records):
    first = _products("Mug", "Tea").with_columns(
        pl.lit("2024-05-01T10:00:00")
        .str.to_datetime(time_unit="us", time_zone="UTC")
        .alias("updated"),
        pl.lit(250, pl.Int64).alias("price_minor"),
    )
    assert records.upsert(first) == 2
    assert records.all().equals(first)
    records.upsert(_products("Blue Mug"))
    assert records.product("p0")["title"] == "Blue Mug"
    assert records.all()["title"].to_list() == ["Blue Mug", "Tea"]


@pytest.mark.parametrize(
    "nasty", ["'; DROP TABLE products; --", "<script>alert(1)</script>", "茶🍵"]
)
def test_names_with_sql_and_html_survive_unexecuted(records, nasty):
    rows = _products(nasty).with_columns(pl.lit(nasty).alias("id"))
    records.upsert(rows)
    assert records.product(nasty)["title"] == nasty
    assert records.products([nasty, "' OR '1'='1"]).height == 1
    assert records.all().height == 1


def test_an_unknown_product_is_not_found_and_many_ids_are_fine(records):
    records.upsert(_products(*(f"t{i}" for i in range(1200))))
    with pytest.raises(NotFound, match="nothing"):
        records.product("nothing")
    assert records.products([f"p{i}" for i in range(1200)] + ["p1", "no"]).height == 1200
    assert records.products([]).height == 0
    assert records.forget("anyone") == 0


def test_readers_read_while_a_writer_writes(records):
    records.upsert(_products("a", "b"))
    seen, failed = [], []

    def read():
        try:
            seen.extend(records.all().height for _ in range(20))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(20):
        records.upsert(_products(f"a{i}", "b"))
    for thread in threads:
        thread.join()
    assert not failed
    assert set(seen) == {2}


def test_a_wrong_url_says_what_to_write():
    with pytest.raises(BadConfig, match=r"sqlite:///shop\.db"):
        Records("nonsense")
