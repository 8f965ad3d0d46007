"""What records promise, on every database: SQLite always, real servers by `make test-faults`."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
import sqlalchemy as sql
from servers import (  # noqa: F401
    database_of,
    every_database,
    mariadb_server,
    postgresql_server,
)

from shopkeeper import schema
from shopkeeper.errors import BadConfig, BadData, NotFound, ShopkeeperError
from shopkeeper.store import migrations
from shopkeeper.store.records import TABLES, Records

pytestmark = every_database
NASTY = [
    "'; DROP TABLE products; --",
    "<script>alert(1)</script>",
    "茶🍵 Ünïcode e\u0301",
    'say "hi", 100 % off \\ and `tick` %s %(id)s :id ?',
    "line\n\\.\nend\r\n\ttab",
    "NULL",
    "\\N",
    " padded ",
]


def _products(*titles, **columns):
    ids = [f"p{i}" for i in range(len(titles))]
    return schema.conform(pl.DataFrame({"id": ids, "title": titles} | columns), schema.PRODUCTS)


def _every_column():
    """Two products with a value in every column, and one with none."""
    values = {
        name: {pl.String: f"{name} 🍵", pl.Int64: 2**62}.get(
            dtype, datetime(2024, 5, 1, 23, 59, 59, 123456, tzinfo=UTC)
        )
        for name, dtype in schema.PRODUCTS.items()
    }
    rows = [values, values | {"id": "second", "title": "", "price_minor": -1}, {"id": "third"}]
    return pl.DataFrame(rows, schema=schema.PRODUCTS).sort("id")


@pytest.fixture
def url(request, kind, tmp_path):
    return database_of(request, kind, tmp_path)


@pytest.fixture
def records(url):
    made = Records(url)
    yield made
    made.close()


@pytest.fixture
def engine(url):
    """The same database, past our code."""
    made = sql.create_engine(url)
    yield made
    made.dispose()


def test_every_column_comes_back_as_it_went_in_and_null_is_not_empty(records):
    rows = _every_column()
    assert records.upsert(rows) == 3
    assert records.all().equals(rows)
    assert records.products(["second", "third"]).equals(rows.filter(pl.col("id") != rows["id"][0]))
    assert records.product("third")["title"] is None
    assert records.product("second")["title"] == ""


def test_the_latest_wins_whole_and_within_one_table_the_last(records):
    records.upsert(_products("Mug", "Tea", price_minor=[250, 300]))
    records.upsert(_products("Blue Mug"))
    assert records.product("p0")["title"] == "Blue Mug"
    assert records.product("p0")["price_minor"] is None
    assert records.product("p1")["price_minor"] == 300
    twice = pl.concat([_products("Old Mug"), _products("New Mug")])
    assert records.upsert(twice) == 1
    assert records.product("p0")["title"] == "New Mug"
    assert records.num_products() == 2


def test_tables_come_in_turn_and_more_rows_than_a_driver_takes_at_once(records):
    first = _products(*(f"t{i}" for i in range(12_000)))
    assert records.upsert(part for part in (first, _products("last"), first.clear())) == 12_001
    assert records.num_products() == 12_000
    assert records.product("p0")["title"] == "last"
    assert records.all()["id"].equals(first["id"].sort())
    assert records.products([*first["id"], "p1", "no"]).height == 12_000
    assert records.upsert([]) == 0


@pytest.mark.parametrize("nasty", NASTY)
def test_names_with_sql_and_html_survive_unexecuted(records, nasty):
    records.upsert(_products(nasty).with_columns(pl.lit(nasty).alias("id")))
    assert records.product(nasty)["title"] == nasty
    assert records.products([nasty, "' OR '1'='1"]).height == 1
    records.override("bot", "user_id", nasty, "release", nasty)
    assert records.overrides().select("id", "by").row(0) == (nasty, nasty)
    assert records.forget("' OR '1'='1") == records.delete(["' OR '1'='1"]) == 0
    assert records.forget(nasty) == records.delete([nasty]) == 1


def test_ids_differ_by_every_byte_and_are_sorted_by_them(records):
    ids = [
        "A1",
        "a1",
        "a1 ",
        " a1",
        "á1",
        "a\u0301",
        "ss",
        "ß",
        "ı",
        "i",
        "I",
        "🍵",
        "🍶",
        "\uffee",
    ]
    records.upsert(schema.conform(pl.DataFrame({"id": ids, "title": ids}), schema.PRODUCTS))
    kept = records.all()
    assert kept["id"].to_list() == sorted(ids)
    assert kept["id"].equals(kept["title"].alias("id"))
    assert records.product("A1")["title"] == "A1"
    assert records.delete(["a1"]) == 1
    assert sorted(records.products(ids)["id"]) == sorted(set(ids) - {"a1"})


def test_an_id_of_two_hundred_characters_fits_and_others_are_named(records):
    longest = "🍵" * 200
    records.upsert(_products("Tea").with_columns(pl.lit(longest).alias("id")))
    assert records.product(longest)["title"] == "Tea"
    for wrong in ("x" * 201, "", None, "a\0b"):
        bad = pl.concat([_products("Mug"), _products("Bad").with_columns(id=pl.lit(wrong))])
        with pytest.raises(BadData, match=r"1 of 2 rows have no 'id' of 1 to 200"):
            records.upsert(bad)
    with pytest.raises(BadData, match="'kind'"):
        records.override("", "user_id", "ann", "release")
    assert records.num_products() == 1


def test_a_text_may_be_long_and_loses_only_nul(records):
    long = "Tea 🍵\n" * 40_000
    records.upsert(_products(long, "a\0b"))
    assert records.product("p0")["title"] == long
    assert records.product("p1")["title"] == "ab"


def test_what_no_database_can_hold_is_simply_not_there(records):
    assert records.products(["a\0b", "\ud800", "x" * 5000]).is_empty()
    assert records.delete(["a\0b", "\ud800"]) == records.forget("\0") == 0
    with pytest.raises(NotFound, match="nothing"):
        records.product("nothing")
    assert records.products([]).schema == schema.PRODUCTS
    assert records.all().schema == schema.PRODUCTS


def test_products_are_deleted_by_id_and_counted(records):
    records.upsert(_products(*(f"t{i}" for i in range(1200))))
    assert records.delete(f"p{i}" for i in range(100, 5000)) == 1100
    assert records.delete(["p100"]) == 0
    assert records.num_products() == 100


def test_a_decision_replaces_the_earlier_one_and_times_are_utc(records):
    before = datetime.now(UTC)
    records.override("bot", "user_id", "ann", "mask")
    records.override("bot", "user_id", "Ann", "mask")
    records.override("bot", "user_id", "ann", "release", by="Zoë")
    records.override("price", "user_id", "ann", "mask")
    kept = records.overrides()
    schema.check(kept, schema.OVERRIDES, "overrides")
    assert sorted(kept.select("kind", "id", "action", "by").rows()) == [
        ("bot", "Ann", "mask", ""),
        ("bot", "ann", "release", "Zoë"),
        ("price", "ann", "mask", ""),
    ]
    assert before - timedelta(seconds=1) < kept["time"].min() <= datetime.now(UTC)
    assert kept["time"].is_sorted()


def test_forget_deletes_decisions_about_the_shopper_and_nobody_else(records):
    for subject, id in [("user_id", "ann"), ("visitor_id", "ann"), ("item_id", "ann")]:
        records.override("bot", subject, id, "release")
    records.override("bot", "user_id", "Ann", "release")
    assert records.forget("ann") == 2
    assert records.forget("ann") == 0
    assert sorted(records.overrides().select("subject", "id").rows()) == [
        ("item_id", "ann"),
        ("user_id", "Ann"),
    ]


def test_a_write_that_fails_leaves_what_was_there(records):
    records.upsert(_products("Mug"))

    def tables():
        yield _products("Broken", "New")
        assert records.all()["title"].to_list() == ["Mug"]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        records.upsert(tables())
    assert records.all()["title"].to_list() == ["Mug"]
    assert records.upsert(_products("Next", "Two")) == 2


KILLED = """
import sys, time
import polars as pl
from shopkeeper import schema
from shopkeeper.store.records import Records

def tables():
    rows = pl.DataFrame({"id": [f"p{i}" for i in range(20_000)]}).with_columns(title=pl.lit("New"))
    yield schema.conform(rows, schema.PRODUCTS)
    print("half", flush=True)
    time.sleep(100)

Records(sys.argv[1]).upsert(tables())
"""


@pytest.mark.faults
def test_a_killed_writer_leaves_what_was_there_and_the_next_one_writes(records, url):
    records.upsert(_products("Mug", "Tea"))
    writer = subprocess.Popen([sys.executable, "-c", KILLED, url], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"half\n"
    writer.kill()
    writer.communicate()
    assert records.upsert(_products("Blue Mug")) == 1
    assert records.all()["title"].to_list() == ["Blue Mug", "Tea"]


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


def test_writers_wait_for_each_other_and_none_is_lost(url):
    Records(url).close()

    def write(number):
        mine = Records(url)
        rows = _products(*(f"t{number}" for _ in range(200)))
        if number % 2:
            rows = rows.reverse()
        for _ in range(5):
            mine.upsert(rows.with_columns(id=pl.col("id") + f"-{number % 3}"))
            mine.upsert([rows.tail(100), rows.head(100)])
        mine.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    records = Records(url)
    assert records.num_products() == 800
    assert len(set(records.all()["title"])) >= 2
    records.close()


def test_a_writer_says_who_holds_it_up_and_waits_no_longer_than_told(url, monkeypatch):
    monkeypatch.setattr("shopkeeper.store.database.WAIT_S", 1)
    records, other = Records(url), Records(url)

    def tables():
        yield _products("Mug")
        with pytest.raises(ShopkeeperError, match="Another process has been writing"):
            other.upsert(_products("Tea", "Jar").tail(1))
        assert other.all().is_empty()

    assert records.upsert(tables()) == 1
    assert other.upsert(_products("Tea")) == 1
    records.close()
    other.close()


def test_the_steps_lead_to_the_tables_that_statements_are_made_of(records, engine):
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    records.num_products()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        changes = [
            change
            for change in compare_metadata(context, TABLES)
            if not (isinstance(change, list) and change[0][0] == "modify_nullable")
        ]
        keys = {
            table: sql.inspect(connection).get_pk_constraint(table)["constrained_columns"]
            for table in TABLES.tables
        }
        versions = connection.exec_driver_sql("SELECT version_num FROM alembic_version").all()
    assert changes == []
    assert keys == {
        "products": ["id"],
        "overrides": ["kind", "subject", "id"],
        "rules": ["id"],
    }
    assert versions == [(migrations.known()[-1],)]


def test_a_database_from_before_versions_were_kept_keeps_its_products(url, engine):
    on_mariadb = engine.dialect.name == "mysql"
    key = "VARCHAR(200)" if on_mariadb else "TEXT"
    texts = "title description product_type brand size color item_group_id currency availability"
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"CREATE TABLE products (id {key} NOT NULL, price_minor BIGINT, updated TIMESTAMP NULL,"
            + "".join(f"{name} TEXT, " for name in f"{texts} link image_link".split())
            + "PRIMARY KEY (id))"
            + (" CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin" if on_mariadb else "")
        )
        connection.exec_driver_sql(
            "INSERT INTO products (id, title, price_minor, updated) "
            "VALUES ('p0', 'Old Mug', 250, '2024-05-01 10:00:00.000000')"
        )
    records = Records(url)
    old = records.product("p0")
    assert (old["title"], old["price_minor"], old["cost_of_goods_sold_minor"]) == (
        "Old Mug", 250, None,
    )  # fmt: skip
    assert old["updated"] == datetime(2024, 5, 1, 10, tzinfo=UTC)
    rows = _every_column().with_columns(pl.col("updated").dt.truncate("1s"))
    records.upsert(rows)
    assert records.all().filter(pl.col("id") != "p0").equals(rows)
    assert records.overrides().is_empty()
    records.close()


def test_an_older_database_is_brought_up_in_place_even_from_half_a_step(url, engine):
    first = Records(url)
    first.upsert(_products("Mug"))
    first.close()
    for loss in ("DROP TABLE overrides", "ALTER TABLE products DROP COLUMN gtin"):
        with engine.begin() as connection:
            connection.exec_driver_sql(loss)
            connection.exec_driver_sql("DELETE FROM alembic_version")
        records = Records(url)
        records.override("bot", "user_id", "ann", "release")
        assert records.overrides().height == 1
        assert records.all()["title"].to_list() == ["Mug"]
        records.close()


def test_a_newer_database_is_refused_in_one_line_and_left_alone(url, engine):
    Records(url).close()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(BadConfig, match=r"newer Shopkeeper \(version 9999.*Update") as refused:
        Records(url)
    assert "\n" not in str(refused.value)
    with engine.begin() as connection:
        kept = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    assert kept == "9999"


OPENED = """
import sys
from shopkeeper.store.records import Records

print("ready", flush=True)
sys.stdin.readline()
print(Records(sys.argv[1]).num_products())
"""


def test_processes_and_threads_that_open_a_fresh_database_at_once_do_not_collide(url):
    others = [
        subprocess.Popen(
            [sys.executable, "-c", OPENED, url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for other in others:
        assert other.stdout.readline() == "ready\n"
    for other in others:
        other.stdin.write("go\n")
        other.stdin.flush()

    def opened(_):
        records = Records(url)
        records.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(opened, range(8)))
    for other in others:
        said, failed = other.communicate(timeout=60)
        assert (said, failed) == ("0\n", "")


def test_a_database_that_is_current_is_opened_without_alembic(url):
    Records(url).close()
    code = (
        "import sys; from shopkeeper.store.records import Records; Records(sys.argv[1]).close(); "
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
