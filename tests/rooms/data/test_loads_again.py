"""Loads of files that were there before: changed and changed back, in parts, under other rules."""

from contextlib import closing

import pytest

from shopkeeper import Shop, registry
from shopkeeper.data.load import LoadSettings, load
from shopkeeper.engine.known import records_of
from shopkeeper.errors import BadData
from shopkeeper.store.lake import Lake

pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")


def _feed(path, **prices):
    """Write a feed with a product for each name and price."""
    path.parent.mkdir(exist_ok=True, parents=True)
    rows = [f"{name},A fine {name},{price} GBP,in_stock" for name, price in prices.items()]
    path.write_text("\n".join(["id,title,price,availability", *rows]) + "\n")
    return path


def _source(**settings):
    return registry.build(
        "data.sources", "mapped", **{"table": "products", "currency": "GBP", **settings}
    )


def _prices(lake):
    rows = lake.table("products").to_polars()
    return {row["id"]: row["price_minor"] for row in rows.to_dicts()}


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", memory_mb=300, threads=1)


def test_a_feed_that_is_as_it_was_before_last_is_loaded_again(tmp_path, lake):
    file = tmp_path / "feed.csv"
    for price in (1, 2, 1):
        assert not load(_source(), _feed(file, cup=price), lake).unchanged
        assert _prices(lake) == {"cup": 100 * price}
    assert load(_source(), file, lake).unchanged
    newest = list(lake.loads().values())[-1]
    assert newest["quality"]["rows"][0]["rows_in"] == 1
    assert len(lake.loads()) == 2


def test_products_of_all_files_stay_where_an_input_is_full(tmp_path, lake):
    full = LoadSettings(full=True)
    folder = tmp_path / "feeds"
    _feed(folder / "a.csv", cup=1, pot=2)
    _feed(folder / "b.csv", jug=3)
    load(_source(), folder, lake, settings=full)
    assert _prices(lake) == {"cup": 100, "pot": 200, "jug": 300}
    _feed(folder / "b.csv", bowl=4)
    load(_source(), folder, lake, settings=full)
    assert _prices(lake) == {"cup": 100, "pot": 200, "bowl": 400}


def test_a_full_feed_that_lacks_a_column_keeps_what_was_known_of_it(tmp_path, lake):
    file, full = tmp_path / "feed.csv", LoadSettings(full=True)
    file.write_text("id,title,price,brand\ncup,A cup,1,Maker\npot,A pot,2,Maker\n")
    load(_source(), file, lake, settings=full)
    file.write_text("id,title,price\ncup,A cup,3\n")
    load(_source(), file, lake, settings=full)
    (row,) = lake.table("products").to_polars().to_dicts()
    assert (row["id"], row["brand"], row["price_minor"]) == ("cup", "Maker", 300)


def test_what_other_rules_refuse_goes_unless_another_load_brought_it_too(tmp_path, lake):
    load(_source(), _feed(tmp_path / "one.csv", cup=1), lake)
    load(_source(), _feed(tmp_path / "two.csv", cup=2, pot=2, ox=2), lake)
    strict = LoadSettings(checks={"titles": {"letters_min": 8}})
    assert not load(_source(), tmp_path / "two.csv", lake, settings=strict).unchanged
    assert _prices(lake) == {"cup": 200, "pot": 200}
    strict = LoadSettings(checks={"titles": {"letters_min": 9}})
    with pytest.raises(BadData, match="None of the 3 products"):
        load(_source(), tmp_path / "two.csv", lake, settings=strict)
    _feed(tmp_path / "two.csv", cup=2, pot=2, saucepan=2)
    load(_source(), tmp_path / "two.csv", lake)
    assert not load(_source(), tmp_path / "two.csv", lake, settings=strict).unchanged
    assert _prices(lake) == {"cup": 200, "pot": 200, "saucepan": 200}


def test_sound_files_are_in_though_one_of_another_load_is_not(tmp_path, lake):
    folder = tmp_path / "feeds"
    for name, product in (("a", "saucepan"), ("b", "ox"), ("c", "kettles")):
        load(_source(), _feed(folder / f"{name}.csv", **{product: 1}), lake, source_name="feed")
        load(_source(), folder, lake, source_name="feed")
    strict = LoadSettings(checks={"titles": {"letters_min": 9}})
    with pytest.raises(BadData, match=r"None of the 1 products of .*b\.csv is sound"):
        load(_source(), folder, lake, source_name="feed", settings=strict)
    thresholds = [set(about["checks"]) for about in lake.loads().values()]
    assert thresholds == [set(), {"titles"}, {"titles"}]
    assert _prices(lake) == {"saucepan": 100, "ox": 100, "kettles": 100}


def test_records_follow_what_was_loaded_before_an_input_failed(tmp_path):
    _feed(tmp_path / "good.csv", cup=1)
    (tmp_path / "bad.csv").write_text("id,title,price\n,,\n")
    (tmp_path / "shop.toml").write_text(
        '[shop]\ncurrency = "GBP"\n\n[data]\ncategories = "off"\n'
        + "".join(
            f'\n[inputs.{name}]\nsource = "mapped"\nfile = "{tmp_path / name}.csv"\n'
            'settings = {table = "products"}\n'
            for name in ("good", "bad")
        )
    )
    with pytest.raises(BadData, match="None of the 1 products"):
        Shop.open(tmp_path).ingest()
    with closing(records_of(tmp_path, Shop.open(tmp_path).config)) as records:
        assert records.all()["id"].to_list() == ["cup"]
