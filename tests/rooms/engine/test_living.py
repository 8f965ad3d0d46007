"""A shop that serves while its products change: right in the next answer, never half a change."""

import subprocess
import sys
import threading
import time

import polars as pl
import pytest

from shopkeeper import Shop
from shopkeeper.engine.live import Live
from shopkeeper.errors import BadData
from shopkeeper.search.indexes._near import Grown

SETTINGS = """
[shop]
name = "Feeds"
currency = "GBP"
languages = ["en"]

[inputs.feed]
source = "merchant_center"
file = "{file}"
load = "full"

[search]
encoder = "hashing"
pictures = ""
"""
THINGS = ("kettle", "lamp", "teapot", "chair", "napkin", "notebook")
COLOURS = ("red", "blue", "green", "black")


def feed():
    return pl.DataFrame(
        [
            {
                "id": f"{thing}-{colour}",
                "title": f"{colour} {thing}",
                "link": "https://shop.example/p",
                "price": f"{5 + c}.00 GBP",
                "availability": "in_stock",
                "brand": "Acme",
                "product_type": f"Home > {thing.title()}",
            }
            for thing in THINGS
            for c, colour in enumerate(COLOURS)
        ]
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("feeds") / "shop"
    folder.mkdir()
    file = folder / "feed.tsv"
    feed().write_csv(file, separator="\t")
    (folder / "shop.toml").write_text(SETTINGS.format(file=file))
    with Shop.open(folder) as shop:
        shop.ingest()
        shop.train()
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr("shopkeeper.engine.follower.REFRESH_S", 0.05)
    copied = shutil.copytree(made, tmp_path / "shop")
    settings = copied / "shop.toml"
    settings.write_text(settings.read_text().replace(str(made), str(copied)))
    return copied


@pytest.fixture
def shop(folder):
    with Shop.open(folder) as opened:
        opened.search("kettle")
        yield opened


def ids(shop, query, **more):
    return [found.id for found in shop.search(query, **more).results]


def by_words(shop, query):
    """Name the products that have the words; others may be near in meaning."""
    return [found.id for found in shop.search(query).results if "lexical" in found.source]


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing changed"
        time.sleep(0.02)


def test_a_new_product_is_found_by_its_words_and_its_meaning_at_once(shop):
    assert "kite" not in ids(shop, "purple dragon kite")
    shop.put_products([{"id": "kite", "title": "Purple dragon kite", "price": "3.00"}])
    first = shop.search("purple dragon kite").results[0]
    assert (first.id, first.source, first.product["price"]) == ("kite", "lexical+dense", "3.00")


def test_a_renamed_product_is_found_by_its_new_words_and_by_the_old_ones_no_more(shop):
    shop.put_products([{"id": "kettle-red", "title": "Zwiebel grinder"}])
    assert by_words(shop, "zwiebel grinder") == ["kettle-red"]
    assert "kettle-red" not in by_words(shop, "red kettle")
    assert by_words(shop, "red kettle")[0] == "kettle-blue"
    shop.put_products([{"id": "kettle-red", "title": "Onion mill"}])
    assert by_words(shop, "zwiebel") == []
    assert by_words(shop, "onion mill") == ["kettle-red"]


def test_new_words_are_not_taken_for_errors(shop):
    assert shop.search("kettel").understood.text == "kettle"
    shop.put_products([{"id": "k", "title": "Kettel table linen"}])
    answer = shop.search("kettel")
    assert answer.understood.text == "kettel"
    assert answer.results[0].id == "k"


def test_price_stock_and_category_count_at_once(shop):
    shop.put_products(
        [
            {"id": "lamp-red", "price": "1.00", "availability": "out_of_stock"},
            {"id": "lamp-blue", "product_type": "Garden > Light"},
        ]
    )
    assert ids(shop, "lamp", price_max=1.5) == ["lamp-red"]
    assert ids(shop, "lamp", filters={"availability": ["out_of_stock"]}) == ["lamp-red"]
    assert ids(shop, "lamp", filters={"product_type": ["Garden"]}) == ["lamp-blue"]
    facets = shop.search("lamp", understand=False).facets
    assert dict(facets["product_type"])["Garden"] == 1


def test_a_load_by_another_process_shows_within_moments(shop, folder):
    changed = (
        feed()
        .filter(pl.col("id") != "chair-red")
        .with_columns(
            title=pl.when(pl.col("id") == "chair-blue")
            .then(pl.lit("azure throne"))
            .otherwise("title"),
            price=pl.when(pl.col("id") == "lamp-red").then(pl.lit("99.00 GBP")).otherwise("price"),
        )
    )
    extra = changed.head(1).with_columns(id=pl.lit("drum"), title=pl.lit("snare drum"))
    pl.concat([changed, extra]).write_csv(folder / "feed.tsv", separator="\t")
    code = "import sys; from shopkeeper import Shop; Shop.open(sys.argv[1]).ingest()"
    command = [sys.executable, "-c", code, str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    until(lambda: "drum" in by_words(shop, "snare drum"))
    assert "chair-red" not in ids(shop, "red chair")
    assert by_words(shop, "azure throne") == ["chair-blue"]
    assert "chair-blue" not in by_words(shop, "blue chair")
    assert shop.product("lamp-red")["price"] == "99.00"


def test_a_change_by_another_shop_object_is_not_lost_beside_our_own(folder, monkeypatch):
    monkeypatch.setattr("shopkeeper.engine.follower.REFRESH_S", 3_600.0)
    with Shop.open(folder) as shop, Shop.open(folder) as other:
        assert by_words(shop, "red kettle")[0] == by_words(other, "red kettle")[0] == "kettle-red"
        other.put_products([{"id": "theirs", "title": "Zither strings"}])
        shop.put_products([{"id": "ours", "title": "Violin bow"}])
        assert by_words(shop, "violin bow") == ["ours"]
        assert by_words(shop, "zither") == []
        shop.follow()
        assert by_words(shop, "zither strings") == ["theirs"]
        assert by_words(shop, "violin bow") == ["ours"]
        other.follow()
        assert by_words(other, "violin bow") == ["ours"]


def test_what_changed_before_a_restart_is_found_after_it_and_training_folds_it(folder):
    with Shop.open(folder) as shop:
        shop.put_products([{"id": "kite", "title": "Purple dragon kite"}])
    with Shop.open(folder) as shop:
        assert by_words(shop, "dragon kite") == ["kite"]
        assert isinstance(shop.live.now.finder.search.index._dense._near, Grown)
        shop.train()
        assert not isinstance(shop.live.now.finder.search.index._dense._near, Grown)
        assert by_words(shop, "dragon kite") == ["kite"]


def test_more_products_than_are_encoded_at_once_all_arrive(shop, monkeypatch):
    monkeypatch.setattr("shopkeeper.engine.now.AT_ONCE", 7)
    shop.put_products([{"id": f"n{n}", "title": f"gizmo number{n}"} for n in range(40)])
    until(lambda: len(by_words(shop, "gizmo")) == 24 and shop.search("gizmo").total >= 40)
    assert by_words(shop, "number39")[0] == "n39"


FORMS = {"Amber lantern": "1.00", "Cobalt bucket": "2.00"}


def torn(shop, title):
    """Return results that show a product partly as it was before a change, partly as after."""
    return [
        found
        for found in shop.search(title).results
        if found.id == "x"
        and (
            found.product["price"] != FORMS[found.product["title"]]
            or ("lexical" in found.source and found.product["title"] != title)
        )
    ]


def test_a_shop_recommends_what_is_alike_before_its_first_event_and_grows_with_them(
    folder, tmp_path
):
    with Shop.open(folder) as shop:
        near = shop.recommend("similar", items=["lamp-red"], k=3)
        assert {one.id.split("-")[0] for one in near.results} == {"lamp"}
        assert not near.notes
        nobody = shop.recommend("home", visitor_id="v")
        assert not nobody.results
        assert "events to learn from" in nobody.notes[0]
        lamp = {"items": [{"item_id": "lamp-red"}]}
        shop.add_events([{"event_name": "view_item", "visitor_id": "v", **lamp}])
        looked = shop.recommend("home", visitor_id="v", k=4).results
        assert {one.id.split("-")[0] for one in looked} == {"lamp"}
        shop.add_events([{"event_name": "purchase", "user_id": "ann", **lamp}])
        assert shop.recommend("home", user_id="ann", k=1).results[0].source == "repeat"
        assert shop.recommend_all(tmp_path / "pages.csv", k=2)["rows"] == 2
        done = shop.train()
        assert done["published"]
        assert "Until then there is no ranker" in done["why"]
        # Now the shop knows what is popular, and says so to whom it knows nothing of.
        first = shop.recommend("home", visitor_id="w").results[0]
        assert (first.id, first.source) == ("lamp-red", "popular")
    settings = folder / "shop.toml"
    settings.write_text(settings.read_text() + '\n[evaluation]\nsplit = "2001-01-01"\n')
    with pytest.raises(BadData, match="no event before 2001-01-01"):
        Shop.open(folder).train()


def test_searches_in_other_threads_never_see_half_a_change(shop):
    shop.put_products([{"id": "x", "title": "Amber lantern", "price": "1.00"}])
    wrong, asked, done = [], [], threading.Event()

    def look():
        try:
            while not done.is_set():
                wrong.extend(found for title in FORMS for found in torn(shop, title))
                asked.append(1)
        except BaseException as error:
            wrong.append(error)
            raise

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        title = list(FORMS)[turn % 2]
        shop.put_products([{"id": "x", "title": title, "price": FORMS[title]}])
        assert by_words(shop, title)[0] == "x"
    until(lambda: len(asked) > 5)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_cannot_be_read_today_is_followed_later(shop, folder, monkeypatch):
    follow, failures = Live.follow, []

    def lost(live, bundles):
        if len(failures) < 2:
            failures.append(1)
            raise OSError("the database is gone")
        follow(live, bundles)

    monkeypatch.setattr(Live, "follow", lost)
    with Shop.open(folder) as other:
        other.put_products([{"id": "theirs", "title": "Zither strings"}])
        until(lambda: by_words(shop, "zither strings") == ["theirs"])
    assert len(failures) == 2
