"""How records are opened; what they promise once open is in `tests/contracts`."""

import subprocess
import sys

import polars as pl
import pytest
import sqlalchemy as sql
from servers import (  # noqa: F401
    PASSWORD,
    USER,
    every_server,
    mariadb_server,
    postgresql_server,
    server_of,
)

from shopkeeper import schema
from shopkeeper.errors import BadConfig, Missing, ShopkeeperError
from shopkeeper.store import migrations
from shopkeeper.store.records import Records

MUG, TEA = (
    schema.conform(pl.DataFrame({"id": ["p0"], "title": [title]}), schema.PRODUCTS)
    for title in ("Mug", "Tea")
)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", r"sqlite:///shop\.db"),
        ("", r"sqlite:///shop\.db"),
        ("postgresq://shop@localhost/shop", "Did you mean 'postgresql'"),
        ("duckdb:///shop.db", "Known: mariadb, mysql, postgres"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////no/such/folder/shop.db", "unable to open database file"),
        ("postgresql://shop:s3cret@127.0.0.1:1/shop", "refused.*Check that it runs"),
        ("mariadb://shop:s3cret@127.0.0.1:1/shop", "refused.*Check that it runs"),
        ("mysql://shop:s3cret@127.0.0.1:port/shop", r"\[store\] url"),
        ("mysql://shop:my@s3cret@127.0.0.1/shop", "%40"),
    ],
)
def test_a_wrong_url_says_in_one_line_what_to_write(url, says):
    with pytest.raises(BadConfig, match=says) as refused:
        Records(url)
    assert "\n" not in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path):
    file = tmp_path / "shop.db"
    file.write_text("These are not the records you are looking for. " * 100)
    with pytest.raises(BadConfig, match=r"shop\.db.*not a database"):
        Records(f"sqlite:///{file}")
    assert file.read_text().startswith("These are not")


@pytest.mark.parametrize(
    ("url", "driver", "extra"),
    [
        ("postgresql://localhost/shop", "psycopg", "postgresql"),
        ("postgresql+psycopg2://localhost/shop", "psycopg", "postgresql"),
        ("mysql://localhost/shop", "pymysql", "mysql"),
        ("mariadb+mysqldb://localhost/shop", "pymysql", "mysql"),
    ],
)
def test_a_missing_driver_says_what_to_install(monkeypatch, url, driver, extra):
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(Missing, match=rf"'{driver}'.*shopkeeper\[{extra}\]"):
        Records(url)


@pytest.mark.faults
def test_a_postgresql_database_without_every_character_is_refused(postgresql_server):  # noqa: F811
    server = sql.create_engine(postgresql_server.url("postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(
            "CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'"
        )
    server.dispose()
    with pytest.raises(BadConfig, match=r"'narrow' keeps texts as LATIN1.*ENCODING 'UTF8'"):
        Records(postgresql_server.url("narrow"))


@pytest.mark.faults
def test_the_password_may_lie_in_a_file(postgresql_server, mariadb_server, tmp_path, monkeypatch):  # noqa: F811
    keep = tmp_path / "pgpass"
    keep.write_text(f"127.0.0.1:*:*:{USER}:{PASSWORD}")
    keep.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(keep))
    own = tmp_path / "my.cnf"
    own.write_text(f"[client]\npassword = {PASSWORD}\n")
    for server, ending in ((postgresql_server, ""), (mariadb_server, f"?read_default_file={own}")):
        name = server.database().rpartition("/")[2]
        kind = server.driver.partition("+")[0].replace("mysql", "mariadb")
        address = f"{kind}://{USER}@127.0.0.1:{server.port}/{name}"
        records = Records(address + ending)
        assert records.num_products() == 0
        records.close()
        with pytest.raises(BadConfig, match="password"):
            Records(f"{kind}://{USER}:wrong@127.0.0.1:{server.port}/{name}")


@every_server
def test_a_wrong_password_or_database_is_one_line_without_the_password(request, kind):
    server = server_of(request, kind)
    for wrong in (server.url("shop_1", "s3cret/word"), server.url("nowhere")):
        with pytest.raises(BadConfig, match=r"\[store\] url") as refused:
            Records(wrong)
        assert "\n" not in str(refused.value)
        for secret in ("s3cret", "pass/word", "pass%2F"):
            assert secret not in str(refused.value)


@every_server
def test_a_server_that_comes_back_is_used_again_and_one_that_is_gone_is_named(request, kind):
    server = server_of(request, kind)
    records = Records(server.database())
    records.upsert(MUG)
    server.restart(lambda: _is_refused(records))
    assert records.all()["title"].to_list() == ["Mug"]
    server.restart(lambda: None)
    assert records.all()["title"].to_list() == ["Mug"]
    assert records.upsert(TEA) == 1
    records.close()


def _is_refused(records):
    with pytest.raises(ShopkeeperError, match="Check that it runs") as refused:
        records.upsert(TEA)
    assert "\n" not in str(refused.value)


def test_importing_records_imports_no_alembic_and_no_driver():
    code = (
        "import sys, shopkeeper.store.records; "
        "print([n for n in ('alembic', 'psycopg', 'pymysql') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_newest_step_by_name_is_the_head_that_alembic_sees():
    from alembic.script import ScriptDirectory

    folder = migrations.FOLDER
    steps = ScriptDirectory(str(folder), version_locations=[str(folder / "versions")])
    taken = [step.revision for step in steps.walk_revisions()]
    assert taken[::-1] == migrations.known()
