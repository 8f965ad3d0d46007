"""An update goes on from the bundle in use, keeps what it knew, or leaves it in use."""

import json
import shutil
from datetime import timedelta

import gift_file
import polars as pl
import pytest
from typer.testing import CliRunner

from shopkeeper import Shop
from shopkeeper.cli.main import app
from shopkeeper.engine import train as training
from shopkeeper.engine.clock import Clock
from shopkeeper.engine.learn import Known, Learner
from shopkeeper.engine.models import Models
from shopkeeper.errors import BadConfig, BadData, NotFitted, TooLittle
from shopkeeper.recommenders._sequences import Sequence
from shopkeeper.schema import ITEM, PRODUCT_ID

pytest.importorskip("torch")

NAMES = ("sequential", "popular", "trending", "repeat", "item_knn", "ease", "bought_together")
MORE = json.dumps([*NAMES, "content", "ials"])
SEQUENTIAL = """
[recommenders.sequential]
width = 8
heads = 1
blocks = 1
epochs_max = 2
update_steps = 6
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trained shop with a recommender that can learn on."""
    folder = gift_file.shop(tmp_path_factory.mktemp("fresh") / "shop")
    toml = (folder / "shop.toml").read_text()
    for line in ("recommenders", "fused"):
        toml = toml.replace(f'\n{line} = ["popular"', f'\n{line} = ["sequential", "popular"')
    (folder / "shop.toml").write_text(toml.replace("periods = 2", "periods = 1") + SEQUENTIAL)
    with Shop.open(folder) as shop:
        shop.ingest()
        shop.train()
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "shop")


def bought(folder, shoppers=60, item=None):
    """Let shoppers buy once more what they buy most, all of them on each of two days."""
    with Shop.open(folder) as shop, pytest.MonkeyPatch.context() as patched:
        for day in (1, 2):
            later = timedelta(days=day)
            patched.setattr(
                Clock, "shop_time", lambda clock, ours, later=later: ours - clock.behind + later
            )
            events = []
            for number in range(shoppers):
                user = f"{12000 + number}"
                past = [one for one, _, _ in shop.live.state.history(user)]
                wanted = sorted(set(past), key=lambda one: (-past.count(one), one))[:2]
                items = [{"item_id": one} for one in [*wanted, *([item] if item else [])]]
                events.append({"event_name": "purchase", "user_id": user, "items": items})
            shop.add_events(events)


def set_in(folder, **words):
    """Change settings in shop.toml: section__name=value."""
    toml = folder / "shop.toml"
    text = toml.read_text()
    for word, value in words.items():
        section, name = word.split("__")
        head = f"[{section.replace('_dot_', '.')}]"
        lines = [line for line in text.split("\n") if not line.startswith(f"{name} = ")]
        text = "\n".join(lines)
        text = text if head in text else f"{text}\n{head}\n"
        text = text.replace(head, f"{head}\n{name} = {value}")
    toml.write_text(text)


def in_use(folder):
    return (folder / "bundles" / "current").read_text()


def test_a_shop_without_news_keeps_its_bundle(folder):
    before = in_use(folder)
    done = Shop.open(folder).train(update=True)
    assert done["why"] == f"There is nothing new since bundle {before}."
    assert (done["published"], done["version"], in_use(folder)) == (False, before, before)
    assert len(Shop.open(folder).bundles.versions()) == 1
    said = CliRunner().invoke(app, ["train", "--update", "--shop", str(folder)]).output
    assert "nothing new" in said
    assert f"Bundle {before} remains in use" in said
    assert "the last full training took" in said


def test_an_update_learns_on_takes_in_new_products_and_keeps_the_ranker_though_cut_off_once(
    folder, monkeypatch
):
    set_in(folder, train__update_loss_max=0.5)
    with Shop.open(folder) as shop:
        # It comes first by its id, so every other product gets another number.
        shop.put_products([{"id": "00000", "title": "Silver Tea Strainer", "price": "2.00"}])
    bought(folder, item="00000")
    before = in_use(folder)

    def never(*_, **__):
        pytest.fail("an update learns nothing anew that can learn on")

    monkeypatch.setattr(Sequence, "fit", never)

    def cut(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "learn_shop_order", never)
    with monkeypatch.context() as killed:
        killed.setattr(training, "_finish", cut)
        with pytest.raises(KeyboardInterrupt):
            Shop.open(folder).train(update=True)
    assert in_use(folder) == before
    assert list((folder / "cache" / "checkpoints-update").iterdir())
    done = Shop.open(folder).train(update=True)
    assert done["published"]
    assert done["version"] == in_use(folder) != before
    assert not (folder / "cache" / "checkpoints-update").exists()
    told = done["update"]
    assert told["kept"]
    assert told["from"] == before
    assert told["shoppers"] == 60
    assert told["low"] >= -0.5 * told["before"]
    assert (folder / "reports" / "update.html").exists()
    bundles = Shop.open(folder).bundles
    ranker = [
        (bundles.folder / version / "fusion" / "ranker").rglob("*")
        for version in (before, done["version"])
    ]
    old, new = (
        {file.name: file.read_bytes() for file in found if file.is_file()} for found in ranker
    )
    assert old == new
    models = Models.restore(Shop.open(folder).config, bundles)
    for name in ("sequential", "item_knn", "popular"):
        assert "00000" in models.recommenders[name].ids.names
    about = bundles.manifest(done["version"])
    assert about["full_duration_s"] == bundles.manifest(before)["full_duration_s"]
    assert about["update"]["from"] == before
    with Shop.open(folder) as shop:
        assert len(shop.recommend("home", user_id="12000", k=5).results) == 5
    # What was learned is not learned again.
    assert "nothing new" in Shop.open(folder).train(update=True)["why"]


def test_an_update_that_loses_what_was_known_is_not_published(folder, monkeypatch):
    bought(folder)
    fit = Learner.fit

    def forgetful(self, known, names):
        # All but two products are forgotten.
        products = known.products.head(2)
        kept = known.events.filter(pl.col(ITEM).is_in(products[PRODUCT_ID].implode()))
        fit(self, Known(kept, products), names)

    before = in_use(folder)
    monkeypatch.setattr(Learner, "fit", forgetful)
    asked = ["train", "--update", "--json", "--shop", str(folder)]
    done = json.loads(CliRunner().invoke(app, asked).output.splitlines()[-1])
    assert not done["published"]
    assert not done["update"]["kept"]
    assert done["update"]["low"] < -0.03 * done["update"]["before"]
    assert "does not rule out a loss above 3%" in done["why"]
    assert done["why"] in (folder / "reports" / "update.json").read_text()
    assert in_use(folder) == before


def test_too_few_shoppers_tell_nothing(folder):
    bought(folder, shoppers=5)
    done = Shop.open(folder).train(update=True)
    assert "5 shoppers" in done["why"]
    assert "fewer than 30" in done["why"]
    assert not done["published"]


def test_new_products_alone_cannot_be_judged(folder):
    with Shop.open(folder) as shop:
        shop.put_products([{"id": "00000", "title": "Silver Tea Strainer", "price": "2.00"}])
    done = Shop.open(folder).train(update=True)
    assert "Nobody bought anything since" in done["why"]
    assert not done["published"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"recommenders_dot_sequential__width": 16}, "sequential] width was 8 and is 16 now"),
        ({"train__candidates": 7}, "pool was 60 and is 7 now"),
        ({"train__features": '["sources", "shopper"]'}, "has more features|was .* and is"),
        ({"train__last_basket": '["ease"]'}, r"\[train\] last_basket was \['item_knn'\]"),
        ({"train__recommenders": MORE}, "other recommenders than shop.toml names: ials"),
        ({"ranking_dot_gbdt__trees": 21}, "trees was 20 and is 21 now"),
        ({"train__seed": 5}, "seed was 0 and is 5 now"),
    ],
)
def test_a_bundle_of_other_settings_is_refused_by_the_name_of_the_setting(
    made, tmp_path, setting, says
):
    folder = tmp_path / "shop"
    folder.mkdir()
    for name in ("bundles", "lake", "shop.db"):
        (folder / name).symlink_to(made / name)
    shutil.copy(made / "shop.toml", folder / "shop.toml")
    set_in(folder, **setting)
    with pytest.raises(BadConfig, match=says) as caught:
        Shop.open(folder).train(update=True)
    assert "shopkeeper train" in str(caught.value)


def test_how_to_update_may_change_between_updates(folder):
    set_in(folder, recommenders_dot_sequential__update_steps=3)
    set_in(folder, recommenders_dot_sequential__replay=2.5)
    assert "nothing new" in Shop.open(folder).train(update=True)["why"]


def test_another_text_encoder_is_refused(folder):
    bought(folder)
    about = folder / "bundles" / in_use(folder) / "encoder" / "part.json"
    manifest = about.parents[1] / "manifest.json"
    told = json.loads(manifest.read_text())
    del told["files"]["encoder/part.json"]
    manifest.write_text(json.dumps(told))
    about.write_text(about.read_text().replace('"hashing"', '"minilm"'))
    with pytest.raises(BadConfig, match="'minilm', and the shop has 'hashing' now"):
        Shop.open(folder).train(update=True)


def test_without_a_bundle_or_without_events_in_it_there_is_nothing_to_update(folder):
    version = in_use(folder)
    manifest = folder / "bundles" / version / "manifest.json"
    told = json.loads(manifest.read_text())
    told["files"] = {}
    manifest.write_text(json.dumps(told))
    shutil.rmtree(folder / "bundles" / version / "fusion")
    with pytest.raises(NotFitted, match="has no ranker yet"):
        Shop.open(folder).train(update=True)
    shutil.rmtree(folder / "bundles")
    with pytest.raises(NotFitted, match="Run `shopkeeper train` first"):
        Shop.open(folder).train(update=True)


def test_a_shop_with_a_ranker_does_not_lose_it_where_too_little_happened(folder, monkeypatch):
    def too_little(*_, **__):
        raise TooLittle("Nothing happened.")

    monkeypatch.setattr(training, "learn", too_little)
    before = in_use(folder)
    with pytest.raises(TooLittle):
        Shop.open(folder).train()
    assert in_use(folder) == before


def test_models_of_another_version_are_not_learned_on(folder):
    manifest = folder / "bundles" / in_use(folder) / "manifest.json"
    told = json.loads(manifest.read_text())
    told["ranker_features"].pop()
    manifest.write_text(json.dumps(told))
    with pytest.raises(BadData, match="other features"):
        Shop.open(folder).train(update=True)
