"""A shop starts from another: same kinds of content, other products, other shoppers."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from shopkeeper import registry
from shopkeeper.data.samples.planted import OPENED, requests
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.schema import ITEM, LEARN, PRODUCT_ID, VECTOR

pytest.importorskip("torch")

LATER = OPENED + timedelta(days=20)
KINDS, EACH = 6, 6
SMALL = {"width": 16, "heads": 2, "blocks": 1, "lr": 0.01, "dropout": 0.1, "epochs_max": 40}
SMALL |= {"weight_decay": 0.0, "repeats": False, "plain_share": 0.0, "half_life_days": 1e6}
SMALL |= {"times": False, "content_numbers": 5, "id_dropout": 0.4}


def shop(letter, shoppers, seed):
    """After a product of one kind comes one of the next kind, whichever of them."""
    draw = np.random.default_rng(seed)
    rows = []
    for user in range(shoppers):
        kind = int(draw.integers(KINDS))
        for step in range(5):
            product = f"{letter}{(kind + step) % KINDS}-{draw.integers(EACH)}"
            when = OPENED + timedelta(hours=step)
            rows.append((f"{letter}u{user}", product, "purchase", when))
    return pl.DataFrame(rows, schema=LEARN, orient="row")


def catalogue(letter, seed, turn=0):
    """Contents tell the kind; both shops speak the same language unless it is turned."""
    draw = np.random.default_rng(seed)
    names = [f"{letter}{n // EACH}-{n % EACH}" for n in range(KINDS * EACH)]
    centres = np.random.default_rng(99).normal(size=(KINDS, 8))
    kinds = [(n // EACH * (1 + turn)) % KINDS for n in range(KINDS * EACH)]
    vectors = [centres[kind] + 0.1 * draw.normal(size=8) for kind in kinds]
    column = pl.Series(VECTOR, [v.tolist() for v in vectors], dtype=pl.List(pl.Float32))
    return pl.DataFrame({PRODUCT_ID: names}).with_columns(column)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    part = registry.build("recommenders", "sequential", **SMALL)
    part.fit(shop("a", 300, 0), catalogue("a", 0))
    folder = tmp_path_factory.mktemp("large")
    registry.save(part, folder)
    return folder


ASKED = requests({f"s{kind}": [f"b{kind}-1"] for kind in range(KINDS)}, LATER)
TINY = {"steps_max": 1}
"""The small shop hardly learns: what it knows it has from the large one."""


def right_kind(part):
    """Share of the first three that are of the kind that follows."""
    found = part.recommend(ASKED, 3)
    kinds = found[ITEM].str.slice(1, 1).cast(pl.Int64).to_numpy()
    return float(np.mean(kinds == (found["request"].to_numpy() + 1) % KINDS))


def fitted(**more):
    part = registry.build("recommenders", "sequential", **SMALL | TINY | more)
    return part.fit(shop("b", 12, 1), catalogue("b", 1))


def test_what_another_shop_learned_of_contents_holds_here_and_nothing_else_does(large):
    assert right_kind(fitted(start_from=str(large))) > 0.8
    assert right_kind(fitted()) < 0.5


def test_a_shop_whose_contents_mean_other_things_gains_nothing(large):
    part = registry.build("recommenders", "sequential", **SMALL | TINY, start_from=str(large))
    part.fit(shop("b", 12, 1), catalogue("b", 1, turn=4))
    assert right_kind(part) < 0.5


def test_it_is_saved_and_answers_alike_and_can_be_started_from_in_turn(large, tmp_path):
    part = fitted(start_from=str(large))
    registry.save(part, tmp_path / "b")
    again = registry.load(tmp_path / "b")
    assert again.recommend(ASKED, 5).equals(part.recommend(ASKED, 5))
    third = registry.build(
        "recommenders", "sequential", **SMALL | TINY, start_from=str(tmp_path / "b")
    ).fit(shop("b", 12, 2), catalogue("b", 2))
    assert right_kind(third) > 0.8


def test_new_products_are_foretold_only_with_content():
    events, products = shop("b", 60, 1), catalogue("b", 1)
    kept = events.filter(~pl.col(ITEM).str.ends_with("-0"))
    part = registry.build("recommenders", "sequential", **SMALL).fit(kept, products)
    assert part.recommend(ASKED, 99)[ITEM].str.ends_with("-0").any()
    blind = registry.build("recommenders", "sequential", **SMALL | {"content_numbers": 0})
    assert not blind.fit(kept, products).recommend(ASKED, 99)[ITEM].str.ends_with("-0").any()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"width": 32}, "width is 32, but the one to start from"),
        ({"content_numbers": 4}, "content_numbers is 4, but"),
        ({"content_numbers": 0}, "start_from needs content_numbers"),
        ({"start_from": "nowhere"}, "no recommender was saved"),
    ],
)
def test_networks_that_do_not_fit_are_refused(large, more, said):
    with pytest.raises(BadConfig, match=said):
        fitted(**{"start_from": str(large)} | more)


def test_shops_that_do_not_speak_alike_are_refused(large, tmp_path):
    part = registry.build("recommenders", "sequential", **SMALL | TINY, start_from=str(large))
    events = shop("b", 12, 1)
    with pytest.raises(BadData, match="no product here has a vector"):
        part.fit(events)
    short = catalogue("b", 1).with_columns(pl.col(VECTOR).list.head(4))
    with pytest.raises(BadData, match=r"have 4 numbers, those that .* have 8"):
        part.fit(events, short)
    plain = registry.build("recommenders", "popular").fit(events)
    registry.save(plain, tmp_path / "popular")
    with pytest.raises(BadConfig, match="has not learned to read what products are"):
        fitted(start_from=str(tmp_path / "popular"))
