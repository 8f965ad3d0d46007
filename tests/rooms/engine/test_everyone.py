"""Pages for all shoppers in a file: as a live answer, whole or not at all."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from shopkeeper import Shop
from shopkeeper.arrays import Asked
from shopkeeper.cli.main import app
from shopkeeper.engine import everyone
from shopkeeper.engine.candidates import led, ordered
from shopkeeper.engine.clock import Clock
from shopkeeper.engine.wanted import Wanted
from shopkeeper.errors import BadConfig, BadRequest, NotFound


@pytest.fixture
def shop(trained):
    with Shop.open(trained) as opened:
        yield opened


def in_batches(shop, size):
    shop.config = replace(shop.config, serving=replace(shop.config.serving, batch_shoppers=size))


@pytest.mark.parametrize("placement", ["home", "similar", "trending"])
def test_each_shopper_gets_the_page_of_a_live_answer(shop, tmp_path, placement, monkeypatch):
    # Time passes between answers, and scores with it.
    now = shop.live.clock.now()
    monkeypatch.setattr(Clock, "now", lambda _: now)
    in_batches(shop, 7)
    done = shop.recommend_all(tmp_path / "pages.parquet", placement, k=4)
    pages = pl.read_parquet(tmp_path / "pages.parquet")
    assert dict(pages.schema) == everyone.COLUMNS
    users = sorted({f"{12000 + n}" for n in range(60)})
    assert done["shoppers"] == len(users)
    assert done["rows"] == pages.height
    assert pages["user_id"].is_sorted()
    for user in users[::6]:
        live = shop.recommend(placement, user_id=user, k=4).results
        mine = pages.filter(pl.col("user_id") == user)
        assert mine["item_id"].to_list() == [one.id for one in live]
        assert mine["rank"].to_list() == [one.rank for one in live]
        assert mine["source"].to_list() == [one.source for one in live]
        assert mine["reason"].to_list() == [one.reason for one in live]
        np.testing.assert_allclose(mine["score"], [one.score for one in live], rtol=1e-4, atol=1e-6)


def test_a_batch_of_every_kind_of_request_is_answered_as_each_of_them_alone(shop):
    live, ids = shop.live, ["22001", "22017", "22009"]
    shop.add_events(
        [{"event_name": "view_item", "items": [{"item_id": ids[0]}], "user_id": "12003"}]
        + [{"event_name": "view_item", "items": [{"item_id": i}], "visitor_id": "v"} for i in ids]
        + [{"event_name": "dismiss", "items": [{"item_id": ids[1]}], "user_id": "12004"}]
    )
    who = [("12000", None), ("nobody", None), ("12003", None), (None, "v"), ("12004", None)]
    with live.lock:
        together = live.asked([live.state.steps(*one) for one in who])
    together = replace(
        together, owner_X=np.array([0, 2, 2]), item_X=together.ids.rows(["22005", *ids[:2]])
    )
    for name, place in live.config.placements.items():
        wanted = Wanted(placement=place, k=6)

        def answer(asked: Asked, wanted=wanted):
            found = ordered(asked, wanted, live.recommenders, live.fusion)
            return led(found.page, asked, live.recommenders).table()

        whole = answer(together)
        assert (
            name in ("similar", "bought_together", "buy_again") or whole["request"].n_unique() > 3
        )
        for number in range(len(who)):
            alone = answer(together.slice(number, number + 1))
            mine = whole.filter(pl.col("request") == number).with_columns(alone["request"])
            assert mine.drop("score").equals(alone.drop("score")), (name, number)
            np.testing.assert_allclose(mine["score"], alone["score"], rtol=1e-4)


def test_what_is_sold_out_is_on_no_page(shop, tmp_path):
    shop.recommend_all(tmp_path / "before.csv", k=3)
    first = pl.read_csv(tmp_path / "before.csv", schema=everyone.COLUMNS)["item_id"].mode()[0]
    shop.put_products([{"id": first, "availability": "out_of_stock"}])
    shop.recommend_all(tmp_path / "after.csv", k=3)
    after = pl.read_csv(tmp_path / "after.csv", schema=everyone.COLUMNS)
    assert after["user_id"].n_unique() == 60
    assert first not in after["item_id"].to_list()


def test_a_run_that_ends_early_leaves_the_old_file_and_nothing_beside_it(
    shop, tmp_path, monkeypatch
):
    out = tmp_path / "pages.csv"
    out.write_text("as it was")
    # Left by a process that was killed; no process has such a number.
    (tmp_path / ".pages.csv.99999999.part").write_text("half")
    in_batches(shop, 20)
    whole, seen = everyone._pages, []

    def dying(*asked):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return whole(*asked)

    monkeypatch.setattr(everyone, "_pages", dying)
    with pytest.raises(KeyboardInterrupt):
        shop.recommend_all(out)
    assert out.read_text() == "as it was"
    assert [file.name for file in tmp_path.glob("*pages*")] == ["pages.csv"]


@pytest.mark.parametrize(
    ("out", "placement", "k", "says"),
    [
        ("pages.json", "home", 3, "must end in .parquet or .csv"),
        ("nowhere/pages.csv", "home", 3, "in a folder that is not there"),
        ("folder.csv", "home", 3, "is a folder"),
        ("pages.csv", "hmoe", 3, "Did you mean 'home'"),
        ("pages.csv", "home", 0, "k must be from 1"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(
    trained_once, tmp_path, monkeypatch, out, placement, k, says
):
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.setattr(everyone, "_pages", None)
    with pytest.raises((BadRequest, NotFound, BadConfig), match=says):
        Shop.open(trained_once).recommend_all(tmp_path / out, placement, k=k)


def test_the_command_tells_what_it_wrote_and_what_goes_together(trained_once, tmp_path):
    def run(*words):
        return CliRunner().invoke(app, ["recommend", "--shop", str(trained_once), *map(str, words)])

    done = json.loads(
        run(
            "--all", "--out", tmp_path / "p.csv", "--k", 2, "--placement", "trending", "--json"
        ).output.splitlines()[-1]
    )
    assert (done["shoppers"], done["k"], done["placement"]) == (60, 2, "trending")
    assert done["shoppers_per_second"] > 0
    assert "for 60 shoppers" in run("--all", "--out", tmp_path / "p.csv").output
    for words in (("--all",), ("--out", "x.csv"), ("--all", "--out", "x.csv", "--user", "u")):
        assert "go together" in str(run(*words).exception)
