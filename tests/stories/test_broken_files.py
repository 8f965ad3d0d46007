"""Whatever is wrong with a file: one clear line or a quarantine, never half a load."""

import resource
import time

import broken_files
import polars as pl
import pytest

from shopkeeper import Shop, registry, schema
from shopkeeper.errors import ShopkeeperError
from shopkeeper.store.lake import Lake

SECONDS_MAX = 60
BROKEN = [
    (f"{source}-{name}", name, source, {}, content)
    for name, source, content in broken_files.feeds()
] + [
    (f"{table}-{name}", name, "mapped", {"table": table}, content)
    for name, table, content in broken_files.mapped()
]

pytestmark = [
    pytest.mark.timeout(120),
    # Ibis 12 calls what duckdb 2 renamed.
    pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning"),
]


def test_there_are_at_least_60_broken_files_of_every_kind():
    assert len(BROKEN) >= 60
    assert len({name for name, *_ in BROKEN}) == len(BROKEN)
    assert {source for _, _, source, _, _ in BROKEN} == {
        *registry.names("data.sources")
    } - {"complete_journey"}  # fmt: skip


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken") / "shop"
    folder.mkdir()
    (folder / "shop.toml").write_text(
        '[shop]\ncurrency = "EUR"\n\n[data]\ncategories = "off"\n[store]\nmemory_mb = 300\n'
    )
    good = folder / "good.csv"
    good.write_text(broken_files.HEAD + broken_files.GOOD.replace("a,", "kept,"))
    with Shop.open(folder) as opened:
        opened.ingest(good, source="mapped", name="good", settings={"table": "products"})
        yield opened


def _tables(shop):
    """Return what the lake holds, table by table, as anybody would read it."""
    lake = Lake(shop.folder / "lake", threads=1)
    return {
        name: pl.concat([pl.read_parquet(file) for file in files], how="diagonal_relaxed")
        for name in schema.TABLES
        if (files := lake.files(name))
    }


@pytest.mark.parametrize(
    ("name", "source", "settings", "content"),
    [each[1:] for each in BROKEN],
    ids=[each[0] for each in BROKEN],
)
def test_a_broken_file_is_one_clear_line_or_goes_to_quarantine(
    shop, tmp_path, name, source, settings, content
):
    file = tmp_path / name
    file.write_bytes(content)
    before, began = _tables(shop), time.perf_counter()
    try:
        shop.ingest(file, source=source, name=file.name, settings=settings)
    except (ShopkeeperError, OSError) as error:
        said = str(error)
        assert "\n" not in said
        assert len(said) < 1000
        assert file.name in said
        after = _tables(shop)
        assert after.keys() == before.keys()
        assert all(rows.equals(before[table]) for table, rows in after.items())
    after = _tables(shop)
    assert "kept" in after["products"]["id"]
    for table, rows in after.items():
        if table == "products":
            assert rows["id"].is_unique().all()
            assert rows["title"].null_count() == 0
            assert (rows["price_minor"].fill_null(0) >= 0).all()
        if table == "events":
            assert rows["event_id"].is_unique().all()
            assert rows["time"].dt.year().is_between(1990, 2100).all()
    assert not (shop.folder / "lake" / ".work").exists()
    assert not (shop.folder / "lake" / ".staging").exists()
    assert time.perf_counter() - began < SECONDS_MAX


def test_all_that_was_not_to_be_had_cost_little_memory(shop):
    assert shop.folder.exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6 < 4
