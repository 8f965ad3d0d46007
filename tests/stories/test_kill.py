"""Kill it at any moment: the next run mends what was left, and ends where a calm run ends."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import gift_file
import pytest

from shopkeeper import Shop, schema
from shopkeeper.engine.clock import Clock
from shopkeeper.engine.known import lake_of, records_of

pytestmark = pytest.mark.faults
SHOPKEEPER = Path(sys.executable).parent / "shopkeeper"


def start(*words):
    return subprocess.Popen(
        [SHOPKEEPER, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def run(*words):
    return subprocess.run(
        [SHOPKEEPER, *map(str, words)], check=True, capture_output=True, text=True
    ).stdout


def seconds_of(*words):
    began = time.perf_counter()
    run(*words)
    return time.perf_counter() - began


@pytest.mark.parametrize("seed", range(3))
def test_train_killed_at_random_moments_ends_as_a_calm_run(tmp_path, seed):
    calm, wild = (gift_file.shop(tmp_path / name, shoppers=30) for name in ("calm", "wild"))
    whole_s = seconds_of("ingest", "--shop", calm) + seconds_of("train", "--shop", calm)
    chance = random.Random(seed)
    run("ingest", "--shop", wild)
    for _ in range(3):
        with start("train", "--shop", wild) as process:
            time.sleep(chance.uniform(0.2, 1.0) * whole_s)
            os.kill(process.pid, signal.SIGKILL)
    run("train", "--shop", wild)
    pages = []
    for folder in (calm, wild):
        with Shop.open(folder) as shop:
            assert not list((folder / "bundles").glob(".writing-*"))
            page = shop.recommend("home", user_id="12003")
            pages.append([(result.id, result.score) for result in page.results])
    assert pages[0] == pages[1]


LOADER = """
import sys
from pathlib import Path
from shopkeeper import Shop
import ibis, duckdb
shop = Shop.open(Path(sys.argv[1]))
print("ready", flush=True)
shop.ingest()
"""


def test_an_update_killed_at_random_moments_leaves_a_bundle_in_use_and_is_made_again(
    trained, monkeypatch
):
    settings = trained / "shop.toml"
    settings.write_text(
        settings.read_text().replace("periods = 2", "periods = 2\nupdate_loss_max = 0.9")
    )
    with Shop.open(trained) as shop:
        for day in (1, 2):
            later = timedelta(days=day)
            monkeypatch.setattr(
                Clock, "shop_time", lambda clock, ours, later=later: ours - clock.behind + later
            )
            items = [{"item_id": "22000"}, {"item_id": "22001"}]
            shop.add_events(
                [
                    {"event_name": "purchase", "user_id": f"{12000 + n}", "items": items}
                    for n in range(60)
                ]
            )
        before = shop.bundles.current()
    chance = random.Random(0)
    for _ in range(4):
        with start("train", "--update", "--shop", trained) as process:
            time.sleep(chance.uniform(1, 8))
            os.kill(process.pid, signal.SIGKILL)
        with Shop.open(trained) as shop:
            assert len(shop.recommend("home", user_id="12003", k=5).results) == 5
    run("train", "--update", "--shop", trained)
    with Shop.open(trained) as shop:
        assert shop.bundles.current() != before
        assert shop.bundles.manifest(shop.bundles.current())["update"]["kept"]
        assert "nothing new" in shop.train(update=True)["why"]
        assert not list((trained / "bundles").glob(".writing-*"))


def _load(folder, kill_after_s=None):
    """Load in a process of its own, killed after so long; return the seconds it took."""
    words = [sys.executable, "-W", "ignore", "-c", LOADER, str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        began = time.perf_counter()
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert kill_after_s is not None or process.returncode == 0
    return time.perf_counter() - began


def _rows(folder):
    """Return all rows of the lake and of the records, in an order of their own."""
    with Shop.open(folder) as shop:
        lake = lake_of(folder, shop.config)
        tables = {}
        for name in schema.TABLES:
            rows = lake.backend.to_polars(lake.table(name))
            tables[name] = rows.sort(*rows.columns).rows()
        with closing(records_of(folder, shop.config)) as records:
            tables["records"] = records.all().rows()
    assert not list(folder.rglob(".work/*"))
    return tables


# Forty loads, each in a process of its own: four minutes on a calm machine.
@pytest.mark.timeout(1200)
def test_a_load_killed_at_20_random_moments_ends_as_a_calm_one_when_run_again(tmp_path):
    calm = gift_file.shop(tmp_path / "calm")
    whole_s = max(_load(calm), _load(gift_file.shop(tmp_path / "second")))
    expected = _rows(calm)
    assert expected["events"]
    assert expected["quarantine"]
    chance = random.Random(7)
    cut_short = 0
    for moment in range(20):
        wild = gift_file.shop(tmp_path / f"wild-{moment}")
        _load(wild, chance.uniform(0.0, 1.0) * whole_s)
        cut_short += not (wild / "lake" / "in-records").exists()
        _load(wild)
        assert _rows(wild) == expected, moment
    assert cut_short >= 5


def test_serve_killed_after_an_acknowledged_event_still_knows_it(trained):
    with start("serve", "--shop", trained, "--port", "0") as server:
        address = next(w for line in server.stdout for w in line.split() if w.startswith("http://"))
        event = {"event_name": "view_item", "visitor_id": "v1", "items": [{"item_id": "22003"}]}
        posted = urllib.request.Request(
            f"{address.rstrip('/')}/v1/events",
            json.dumps({"events": [event]}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(posted) as answer:
            assert json.load(answer)["accepted"] == 1
        os.kill(server.pid, signal.SIGKILL)
    with Shop.open(trained) as shop:
        assert [step["item_id"] for step in shop.history(None, "v1")] == ["22003"]


def test_two_services_of_one_shop_are_refused_in_one_line(trained):
    with start("serve", "--shop", trained, "--port", "0") as server:
        next(line for line in server.stdout if "http://" in line)
        second = subprocess.run(
            [SHOPKEEPER, "serve", "--shop", trained, "--port", "0"], capture_output=True, text=True
        )
        server.terminate()
    assert second.returncode == 2
    assert second.stderr.count("shopkeeper: ") == 1
    assert "Traceback" not in second.stderr
