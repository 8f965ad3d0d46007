"""Products without a category get that of their like, as far down as it is sure, and marked."""

import json
import zlib

import numpy as np
import polars as pl
import pytest

from shopkeeper import config, registry
from shopkeeper.config.sections import DataSection
from shopkeeper.engine.categories import (
    FILLED,
    clear_filled,
    fill,
    fill_categories,
    filled_report,
)
from shopkeeper.engine.departments import DEPARTMENTS
from shopkeeper.engine.voters import Filling, Voters
from shopkeeper.schema import CATEGORY, PRODUCT_ID, PRODUCTS, conform

KINDS = {
    "kettle": "Kitchen > Hot drinks > Kettles",
    "teapot": "Kitchen > Hot drinks > Teapots",
    "saucepan": "Kitchen > Cooking > Pans",
    "ladder": "Tools > Access > Ladders",
    "hammer": "Tools > Hand tools > Hammers",
    "tulip": "Garden > Bulbs > Tulips",
}
COLOURS = ("red", "blue", "green", "white", "black", "pink", "grey", "steel", "oak", "tiny")
MAKERS = ("acme", "bolt", "cove", "dune", "elm", "fern", "gull", "hart")


@pytest.fixture(scope="module")
def encode():
    return registry.build("encoders", "hashing").encode


def shop(hidden=0.2, seed=0):
    """A product of each kind, colour and maker; some lack the category that we know."""
    chance = np.random.default_rng(seed)
    rows = [
        {PRODUCT_ID: f"{kind}-{colour}-{maker}", "title": f"{colour} {kind} by {maker}", "t": path}
        for kind, path in KINDS.items()
        for colour in COLOURS
        for maker in MAKERS
    ]
    whole = pl.DataFrame(rows)
    lost = pl.Series(chance.random(whole.height) < hidden)
    known = whole.with_columns(pl.when(lost).then(None).otherwise("t").alias(CATEGORY))
    return conform(known, PRODUCTS), whole["t"], lost


def test_hidden_categories_come_back_whole_and_random_vectors_cannot_bring_them(encode):
    products, truth, lost = shop()
    found = fill_categories(products, encode)[CATEGORY]
    assert (found == truth).filter(lost).fill_null(False).mean() > 0.98

    def noise(texts):
        """Vectors that know nothing of the text."""
        seeds = [zlib.crc32(text.encode()) for text in texts]
        vectors = np.stack([np.random.default_rng(seed).normal(size=32) for seed in seeds])
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    assert fill_categories(products, noise)[CATEGORY].filter(lost).is_null().mean() > 0.9


def test_what_was_known_stays_and_what_was_filled_is_marked_with_its_chance(encode):
    products, truth, lost = shop()
    products = products.with_columns(attributes=pl.lit('{"voltage": "230 V"}'))
    filled = fill_categories(products, encode)
    assert filled.schema == products.schema
    assert filled[PRODUCT_ID].equals(products[PRODUCT_ID])
    known = ~lost
    assert filled.filter(known).equals(products.filter(known))
    for text in filled.filter(lost).drop_nulls(CATEGORY)["attributes"]:
        about = json.loads(text)
        assert about["voltage"] == "230 V"
        assert 0.9 <= about[FILLED] <= 1
    assert truth.is_not_null().all()


def test_filling_can_be_taken_back_and_is_done_anew_the_next_time(encode):
    products, _, _ = shop()
    for attributes in (None, '{"note": "category_filled is a word here"}'):
        before = products.with_columns(attributes=pl.lit(attributes, pl.String))
        filled = fill_categories(before, encode)
        assert filled[CATEGORY].is_null().sum() < before[CATEGORY].is_null().sum()
        assert clear_filled(filled).equals(before)
        marked = pl.col("attributes").str.contains('"category_filled": ')
        wrong = pl.when(marked).then(pl.lit("Wrong")).otherwise(CATEGORY).alias(CATEGORY)
        assert fill_categories(filled.with_columns(wrong), encode).equals(filled)


def test_a_thing_that_is_nearly_a_kind_gets_only_the_level_that_is_sure(encode):
    kinds = [f"Kitchen > Cups > Cup {number}" for number in range(8)]
    rows = [(f"{n}", f"cup {COLOURS[n % 10]} {MAKERS[n % 8]}", kinds[n % 7]) for n in range(300)]
    rows += [(f"t{n}", f"hammer {MAKERS[n % 8]}", "Tools > Hammers > Big") for n in range(100)]
    rows += [("new", "cup violet zephyr", None)]
    products = pl.DataFrame(rows, schema=[PRODUCT_ID, "title", CATEGORY], orient="row")
    filled = fill_categories(conform(products, PRODUCTS), encode)
    assert filled.filter(pl.col(PRODUCT_ID) == "new")[CATEGORY][0] == "Kitchen > Cups"


def test_the_chance_means_what_it_says(encode):
    """Two kinds share half of their titles, so their leaf can be known for half of them only."""
    chance = np.random.default_rng(3)
    rows = []
    for number in range(1200):
        side = chance.random() < 0.5
        word = "vessel" if chance.random() < 0.5 else ("jug" if side else "pot")
        title = f"{word} {COLOURS[number % 10]} {MAKERS[number % 8]}"
        rows.append((str(number), title, f"Home > {'Jugs' if side else 'Pots'}"))
    whole = pl.DataFrame(rows, schema=[PRODUCT_ID, "title", "t"], orient="row")
    lost = pl.Series(chance.random(1200) < 0.3)
    known = whole.with_columns(pl.when(lost).then(None).otherwise("t").alias(CATEGORY))
    filled = fill_categories(conform(known, PRODUCTS), encode)[CATEGORY].filter(lost)
    truth, words = whole["t"].filter(lost), whole["title"].filter(lost).str.split(" ").list.first()
    deep = filled.str.contains(" > ").fill_null(False)
    assert deep.filter(words != "vessel").mean() > 0.9
    assert (filled == truth).filter(deep).mean() > 0.9
    assert deep.filter(words == "vessel").mean() < 0.1
    assert filled.filter(words == "vessel").fill_null("").str.starts_with("Home").mean() > 0.9


def test_a_shop_without_a_taxonomy_gets_departments_or_nothing(encode):
    words = [words[0] for words in DEPARTMENTS.values()]
    products = pl.DataFrame({PRODUCT_ID: words, "title": words})
    products = conform(products, PRODUCTS)
    filled = fill_categories(products, encode)
    known = filled.drop_nulls(CATEGORY)
    assert known.height > len(words) / 2
    right = {words[0]: name for name, words in DEPARTMENTS.items()}
    assert [right[title] for title in known["title"]] == known[CATEGORY].to_list()
    off = Filling(departments=False)
    assert fill_categories(products, encode, off).equals(products)
    strange = products.with_columns(title=pl.lit("qxzv wjkp"))
    assert fill_categories(strange, encode)[CATEGORY].is_null().all()


def test_a_change_of_one_product_is_filled_from_those_the_shop_has(encode):
    whole, _, _ = shop(hidden=0.0)
    change = whole.head(1).with_columns(
        pl.lit("new").alias(PRODUCT_ID), pl.lit(None, pl.String).alias(CATEGORY)
    )
    filled = fill_categories(change, encode, known=pl.concat([whole, change]))
    assert filled[CATEGORY].to_list() == [KINDS["kettle"]]
    assert filled[PRODUCT_ID].to_list() == ["new"]
    # What was filled before is no evidence: it would make the guess sure of itself.
    guessed = whole.with_columns(attributes=pl.lit(json.dumps({FILLED: 0.9})))
    alone = fill_categories(change, encode, Filling(departments=False), known=guessed)
    assert alone[CATEGORY][0] is None


def test_nothing_to_fill_and_nothing_to_read_change_nothing(encode):
    products, _, _ = shop(hidden=0.0)
    assert fill_categories(products, encode).equals(products)
    assert fill_categories(products.head(0), encode).equals(products.head(0))
    nameless = conform(pl.DataFrame({PRODUCT_ID: ["1", "2"]}), PRODUCTS)
    assert fill_categories(nameless, encode).equals(nameless)


def test_the_description_helps_where_the_title_says_nothing(encode):
    products, _, _ = shop(hidden=0.0)
    new = pl.DataFrame({PRODUCT_ID: ["new"], "title": ["by acme"], "description": ["red kettle"]})
    both = pl.concat([products, conform(new, PRODUCTS)])
    assert fill_categories(both, encode)[CATEGORY][-1] == KINDS["kettle"]
    bare = both.with_columns(description=pl.lit(None, pl.String))
    assert fill_categories(bare, encode)[CATEGORY][-1] != KINDS["kettle"]


def test_the_report_counts_what_was_filled_and_what_is_still_missing(encode):
    products, _, lost = shop()
    report = filled_report(fill_categories(products, encode))
    assert report["filled"] + report["still_missing"] == int(lost.sum())
    assert sum(report["by_level"].values()) == report["filled"]
    assert report["mean_chance"] > 0.9
    assert filled_report(products)["filled"] == 0


def test_a_batch_at_a_time_gives_the_same_answers(encode, monkeypatch):
    products, _, _ = shop()
    whole = fill_categories(products, encode)
    monkeypatch.setattr("shopkeeper.engine.categories.TEXTS_AT_ONCE", 7)
    monkeypatch.setattr("shopkeeper.engine.voters.CELLS_MAX", 5_000)
    assert fill_categories(products, encode)[CATEGORY].equals(whole[CATEGORY])


def test_labelled_texts_are_capped_evenly_over_the_categories(encode):
    rows = [("cup", "A > Cup", n) for n in range(500)] + [("pan", "A > Pan", n) for n in range(9)]
    labelled = pl.DataFrame(
        [(f"{word} {n}", path) for word, path, n in rows], schema=["text", "path"], orient="row"
    )
    voters = Voters.of(labelled, encode, Filling(labelled_max=20))
    assert len(voters.vector_LD) == 20
    assert sorted(np.bincount(voters.code_LV[:, 1]).tolist()) == [9, 11]


def test_the_setting_turns_filling_off_and_a_wrong_one_is_refused(tmp_path):
    products, _, _ = shop()
    search = {"search": config.sections.SearchSection(encoder="hashing")}
    on = config.Config(**search)
    filled = fill(tmp_path, on, products)
    assert filled[CATEGORY].is_null().sum() == 0
    off = config.Config(**search, data=DataSection(categories="off"))
    assert fill(tmp_path, off, filled).equals(products)
    assert len(list((tmp_path / "cache" / "vectors").rglob("*.npy"))) > 0
    with pytest.raises(ValueError, match="categories must be fill or off"):
        DataSection(categories="yes")
