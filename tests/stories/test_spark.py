"""The same rows are kept, mended and refused on Spark as on DuckDB."""

import shutil
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import ibis
import polars as pl
import pytest

from shopkeeper import Shop, registry, schema
from shopkeeper.data import cleaning
from shopkeeper.data.quality import quality
from shopkeeper.data.workbench import Workbench, spark

pytestmark = [
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        find_spec("pyspark") is None or shutil.which("java") is None,
        reason="PySpark or Java is not installed",
    ),
    pytest.mark.filterwarnings("ignore"),
]

START = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def cluster():
    backend = spark("local[2]")
    backend._session.conf.set("spark.sql.shuffle.partitions", "2")
    yield backend
    backend.disconnect()


def _events():
    rows = [
        {
            "line": n + 1,
            "event_id": f"e{n % 390}",
            "time": START + timedelta(minutes=11 * n),
            "event_name": ["view_item", "purchase", "refund", "search", "nonsense"][n % 5],
            "user_id": None if n % 3 else f"u{n % 7}",
            "visitor_id": f"v{n % 11}",
            "session_id": "own" if n % 50 == 0 else None,
            "transaction_id": f"t{n // 10}" if n % 5 == 1 else None,
            "item_id": "POST" if n % 97 == 0 else f"{10_000 + n % 13}",
            "quantity": n % 6 - 1,
            "price_minor": 100 * (n % 13) + (10**7 if n == 211 else 0),
            "currency": ["EUR", " usd", None, "Euro"][n % 4],
            "country": 'Fr"ance\\ 茶',
            "title": "damaged" if n % 41 == 0 else "RED MUG",
            "problem": "the line is no JSON" if n == 5 else None,
        }
        for n in range(400)
    ]
    return pl.DataFrame(rows, schema_overrides={"time": schema.UTC_TIME})


def _products():
    titles = ["Leaf of Silver", "silver leaf of", "CafÃ© <b>vivid</b> cup &amp; fork", None, "- ?"]
    return pl.DataFrame(
        [
            {
                "line": n + 1, "id": f"p{n % 45}", "title": titles[n % 5], "price_minor": n % 9 - 1,
                "currency": "EUR", "sale_price_minor": 4, "description": "<p>five\xa0vases</p>\t v",
                "product_type": "Home > Vases" if n % 2 else None, "brand": "Acme",
            }
            for n in range(50)
        ]
    )  # fmt: skip


def _cleaned(backend, folder, known):
    folder.mkdir()
    duck = ibis.duckdb.connect(threads=1)
    duck.raw_sql("SET TimeZone = 'UTC'")
    bench, here = Workbench(backend or duck, folder), Workbench(duck, folder)
    raw = {
        "events": bench.keep("raw_events", ibis.memtable(_events()), by=duck),
        "products": bench.keep("raw_products", ibis.memtable(_products()), by=duck),
    }
    held = (
        {"events": bench.keep("known", ibis.memtable(known), by=duck)} if known is not None else {}
    )
    settings = {
        "currencies": {"default": "EUR"},
        "near_duplicates": {"words_min": 2},
        "codes": {"never": "post"},
    }
    done = cleaning.clean(bench, raw, cleaning.build_checks(settings, ()), held)
    bench.keep("quarantine", cleaning.quarantine(done, "shop", ["a.csv"]))
    found = {
        name: here.open(bench.path(name)).to_polars().sort("line", *more)
        for name, more in (
            ("kept_events", ()), ("kept_products", ()), ("refused_events", ()),
            ("refused_products", ()), ("quarantine", ("table",)),
        )
    }  # fmt: skip
    return found, quality(done)


@pytest.mark.parametrize("again", [False, True], ids=["first", "increment"])
def test_spark_keeps_mends_and_refuses_the_same_rows_as_duckdb(cluster, tmp_path, again):
    known = _events().head(200).filter(pl.col("event_name") != "nonsense") if again else None
    if known is not None:
        known = known.with_columns(pl.col("session_id").fill_null("before"))
    (duck, duck_report), (spark_, spark_report) = (
        _cleaned(backend, tmp_path / name, known)
        for name, backend in (("duckdb", None), ("spark", cluster))
    )
    assert duck["refused_events"].height > 50
    assert duck["kept_events"].height > 100
    assert "Café vivid cup & fork" in duck["kept_products"]["title"].to_list()
    for name, rows in duck.items():
        others = spark_[name].select(rows.columns).cast(dict(rows.schema))
        assert others.equals(rows), name
    for name in ("rows", "refused", "mended"):
        columns = [c for c in duck_report[name].columns if c != "share"]
        one, other = (report[name].select(columns) for report in (duck_report, spark_report))
        assert sorted(map(str, one.rows())) == sorted(map(str, other.rows())), name


def test_a_shop_that_cleans_on_spark_loads_what_one_on_duckdb_loads(tmp_path):
    file = tmp_path / "events.csv"
    _events().select("event_id", "event_name", "time", "user_id", "item_id", "quantity",
                     "price_minor").write_csv(file)  # fmt: skip
    shops = {}
    for engine in ("duckdb", "spark"):
        folder = tmp_path / engine
        folder.mkdir()
        (folder / "shop.toml").write_text(
            f'[data]\nengine = "{engine}"\nspark_master = "local[2]"\n'
            f'[inputs.log]\nsource = "mapped"\nfile = "{file}"\nsettings = {{table = "events"}}\n'
        )
        Shop.open(folder).ingest()
        lake = Path(folder) / "lake"
        rows = pl.read_parquet(lake / "events" / "**" / "*.parquet").drop("load")
        shops[engine] = rows.sort("event_id").select(sorted(rows.columns))
    assert shops["duckdb"].height > 100
    assert shops["spark"].equals(shops["duckdb"])


def test_the_extra_that_is_not_installed_is_named(monkeypatch):
    from shopkeeper.data import workbench
    from shopkeeper.errors import Missing

    monkeypatch.setattr(workbench, "find_spec", lambda _: None)
    with pytest.raises(Missing, match=r"shopkeeper\[spark\]"):
        spark("local[1]")


def test_registry_has_checks_to_compare():
    assert len(registry.names("data.checks")) >= 15
