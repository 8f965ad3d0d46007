import csv
import gzip
import json
import tracemalloc
from itertools import islice
from pathlib import Path
from xml.sax.saxutils import escape

import ibis
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shopkeeper import registry, schema
from shopkeeper.data.load import load
from shopkeeper.data.sources import _json, _money, _offers, _packing, _products, _xml
from shopkeeper.errors import BadConfig, BadData
from shopkeeper.store.lake import Lake

SAMPLES = Path(__file__).parents[2] / "samples"
FEEDS = ("feed.tsv", "feed.csv", "rss.xml", "atom.xml")
NO_CURRENCY = "the price names no currency, and the settings of the source name none"


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    return ibis.duckdb.connect(threads=1, temp_directory=str(tmp_path_factory.mktemp("spill")))


def _read(backend, name, path, **config):
    source = registry.build("data.sources", name, **config)
    tables = source.read(backend, source.files(path))
    assert list(tables) == ["products"]
    return tables["products"].to_polars().sort("line")


def _said(rows):
    """Return the rows as dicts without nulls, numbered within their file."""
    return [{k: v for k, v in row.items() if v is not None} for row in rows.to_dicts()]


# Google Merchant Center


@pytest.mark.parametrize("form", FEEDS)
def test_a_merchant_feed_is_read_to_these_rows_in_every_form(backend, form):
    rows = _said(_read(backend, "merchant_center", SAMPLES / "merchant_center" / form))
    assert rows == [
        {
            "line": 1,
            "id": "TSHIRT-1-S",
            "title": 'Men\'s Pique Polo "Classic" & Co.',
            "description": "Soft <b>organic</b> cotton, 180 g/m².",
            "product_type": "Apparel > Shirts > Polos",
            "brand": "Acme",
            "size": "S",
            "color": "Navy",
            "item_group_id": "TSHIRT-1",
            "price_minor": 129_900,
            "currency": "USD",
            "availability": "in_stock",
            "link": "https://shop.example/p/polo?size=s&c=1",
            "image_link": "https://shop.example/i/polo.jpg",
            "sale_price_minor": 99_950,
            "cost_of_goods_sold_minor": 40_000,
            "google_product_category": "212",
            "gender": "male",
            "age_group": "adult",
            "material": "Cotton",
            "condition": "new",
            "gtin": "0012345600012",
            "mpn": "AC-1",
            "additional_image_link": "https://shop.example/i/polo-2.jpg,"
            "https://shop.example/i/polo-3.jpg",
            "virtual_model_link": "https://shop.example/m/polo.glb",
            "attributes": '{"custom_label_0": "summer", "shipping": "US:CA:Ground:5.99 USD"}',
        },
        {
            "line": 2,
            "id": "TSHIRT-1-M",
            "title": "Men's Pique Polo, Größe M – 男士衬衫",
            "description": "Line one\nline two",
            "brand": "Acme",
            "size": "M",
            "item_group_id": "TSHIRT-1",
            "price_minor": 1990,
            "currency": "EUR",
            "availability": "out_of_stock",
            "link": "https://shop.example/p/polo?size=m",
            "condition": "new",
        },
        {
            "line": 3,
            "id": "MUG-7",
            "title": "Mug 🫖; DROP TABLE products;--",
            "price_minor": 1500,
            "currency": "JPY",
            "availability": "preorder",
            "condition": "used",
        },
        {
            "line": 4,
            "id": "BROKEN-1",
            "title": "A lamp with broken values",
            "raw_availability": "maybe",
            "raw_price": "call us",
            "raw_sale_price": "10.00 GBP",
        },
        {
            "line": 5,
            "title": "No id at all",
            "price_minor": 500,
            "currency": "USD",
            "availability": "in_stock",
        },
        {
            "line": 6,
            "id": "NO-CURRENCY",
            "title": "A price without a currency",
            "availability": "backorder",
            "raw_price": "12.00",
            "problem": NO_CURRENCY,
        },
    ]


def test_feeds_of_several_forms_and_packings_in_a_folder_are_one_table(backend, tmp_path):
    names = [*FEEDS, *(f"{form}.gz" for form in FEEDS)]
    for name in names:
        content = (SAMPLES / "merchant_center" / name.removesuffix(".gz")).read_bytes()
        packed = gzip.compress(content) if name.endswith(".gz") else content
        (tmp_path / name).write_bytes(packed)
    rows = _read(backend, "merchant_center", tmp_path, currency="USD")
    assert rows.height == 6 * len(names)
    files = rows.with_columns(
        pl.col("line") // schema.LINES_PER_FILE, row=pl.col("line") % schema.LINES_PER_FILE
    )
    assert files["line"].unique().sort().to_list() == list(range(len(names)))
    first = files.filter(line=0).drop("line")
    assert all(files.filter(line=k).drop("line").equals(first) for k in range(1, len(names)))
    assert first["price_minor"].to_list() == [129_900, 1990, 1500, None, 500, 1200]
    assert first["problem"].null_count() == 6


def test_every_source_gives_the_columns_of_products_in_their_types(backend):
    for name in ("merchant_center", "shopify", "schema_org"):
        folder = SAMPLES / name
        rows = _read(backend, name, folder)
        for column, dtype in schema.PRODUCTS.items():
            assert column == "updated" or rows.schema[column] == dtype, (name, column)
        assert rows["line"].is_unique().all()
        others = set(rows.columns) - set(schema.PRODUCTS) - {"line", "problem"}
        assert all(column.startswith("raw_") for column in others)


def test_names_under_g_go_before_those_of_rss_and_undeclared_prefixes_do(backend, tmp_path):
    (tmp_path / "feed.xml").write_text(
        "<rss><channel><item><title>Feed's</title><g:title>Google's</g:title><g:id>1</g:id>"
        "<guid>x</guid><g:price>1 USD</g:price><g:price>2 USD</g:price>"
        "<description>Bold <b>words</b> here</description><c:pile>a</c:pile><c:pile>b</c:pile>"
        "<g:additional_image_link>a,b</g:additional_image_link>"
        "<g:additional_image_link>c</g:additional_image_link></item></channel></rss>"
    )
    (row,) = _said(_read(backend, "merchant_center", tmp_path))
    assert (row["title"], row["price_minor"]) == ("Google's", 100)
    assert row["description"] == "Bold words here"
    assert row["additional_image_link"] == "a%2Cb,c"
    assert json.loads(row["attributes"]) == {"guid": "x", "pile": "a,b"}


def test_an_xml_feed_of_another_encoding_reads_as_it_says(backend, tmp_path):
    feed = '<?xml version="1.0" encoding="{}"?><feed><entry><id>1</id><title>Größe</title></entry>'
    for encoding in ("utf-16", "iso-8859-1", "windows-1252"):
        text = feed.format(encoding) + "</feed>"
        (tmp_path / "feed.txt").write_bytes(text.encode(encoding))
        assert _read(backend, "merchant_center", tmp_path / "feed.txt")["title"][0] == "Größe"


# Shopify


def test_a_shopify_export_is_read_to_these_rows(backend):
    path = SAMPLES / "shopify" / "products_export.csv"
    rows = _said(_read(backend, "shopify", path, shop_url="https://shop.example/"))
    pictures = [f"https://cdn.example/tee-{k}.jpg" for k in range(1, 5)]
    tee = {
        "title": "Wool Tee",
        "description": '<p>Soft "merino" wool,\nmade to last.</p>',
        "product_type": "Shirts",
        "brand": "Acme",
        "item_group_id": "wool-tee",
        "currency": "USD",
        "link": "https://shop.example/products/wool-tee",
        "image_link": pictures[0],
        "additional_image_link": ",".join(pictures[1:]),
        "gender": "unisex",
        "attributes": '{"product_category": "Apparel & Accessories > Clothing > Shirts", '
        '"tags": "wool, summer"}',
    }
    on_sale = {"price_minor": 2500, "sale_price_minor": 1999, "cost_of_goods_sold_minor": 750}
    first = {"line": 1, "id": "TEE-S", "size": "S", "color": "Blue", "availability": "in_stock"}
    own = "https://cdn.example/tee-m.jpg"
    assert rows[0] == tee | on_sale | first | {"gtin": "0012345600012"}
    assert rows[1] == tee | on_sale | {
        "line": 2, "id": "TEE-M", "size": "M", "color": "Blue", "availability": "out_of_stock",
        "image_link": own,
    }  # fmt: skip
    assert rows[2] == tee | {
        "line": 3, "id": "wool-tee-l-red", "size": "L", "color": "Red", "price_minor": 2100,
        "availability": "backorder",
    }  # fmt: skip
    assert [row["line"] for row in rows] == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    mug, poster = rows[3:5]
    assert (mug["id"], mug["price_minor"], "item_group_id" in mug) == ("mug", 1200, False)
    assert "attributes" not in mug
    assert poster["attributes"] == '{"finish": "Matte"}'
    assert (poster["raw_price"], poster["raw_availability"]) == ("call us", "many")
    assert [row.get("problem") for row in rows[5:]] == [
        "the product is a draft", None, "the product is not on the online store",
        "the row names no handle",
    ]  # fmt: skip
    assert rows[6]["availability"] == "out_of_stock"


def test_shopify_ids_may_be_made_of_handles_and_its_new_column_names_are_known(backend, tmp_path):
    (tmp_path / "new.csv").write_text(
        "Title,URL handle,Description,Vendor,Published on online store,Status,SKU,Option1 name,"
        "Option1 value,Price,Compare-at price,Inventory tracker,Inventory quantity,"
        "Continue selling when out of stock,Product image URL\n"
        "Hat,hat,Warm,Acme,TRUE,Active,H-1,Colour,Deep Red,10.00,,shopify,0,TRUE,https://i/h.jpg\n"
        ",hat,,,,,H-2,,Blue,11.00,,shopify,4,FALSE,\n"
    )
    rows = _said(_read(backend, "shopify", tmp_path, id_from="handle", currency="EUR"))
    assert [row["id"] for row in rows] == ["hat-deep-red", "hat-blue"]
    assert [row["color"] for row in rows] == ["Deep Red", "Blue"]
    assert [row["availability"] for row in rows] == ["backorder", "in_stock"]
    assert [row["price_minor"] for row in rows] == [1000, 1100]
    assert {row["image_link"] for row in rows} == {"https://i/h.jpg"}
    assert {row["currency"] for row in rows} == {"EUR"}


# schema.org


def test_json_ld_is_read_to_these_rows(backend):
    coat, large, book = _said(_read(backend, "schema_org", SAMPLES / "schema_org/catalogue.json"))
    assert coat == {
        "line": 1,
        "id": "44E01-S",
        "title": "Wool winter coat, small",
        "description": "Warm.",
        "brand": "Good Brand",
        "size": "S",
        "item_group_id": "44E01",
        "price_minor": 3999,
        "currency": "USD",
        "availability": "in_stock",
        "link": "https://shop.example/coat?s",
        "image_link": "https://shop.example/s.jpg",
        "additional_image_link": "https://shop.example/s2.jpg",
        "gender": "unisex",
        "condition": "new",
    }
    assert large == {
        "line": 2,
        "id": "44E01-L",
        "title": "Wool winter coat",
        "description": "Warm.",
        "brand": "Good Brand",
        "size": "L",
        "item_group_id": "44E01",
        "price_minor": 3500,
        "currency": "USD",
        "availability": "out_of_stock",
        "gender": "unisex",
    }
    assert book == {
        "line": 3,
        "id": "9780000000002",
        "title": "A book",
        "product_type": "Books > Art",
        "brand": "House",
        "price_minor": 2500,
        "sale_price_minor": 1800,
        "currency": "EUR",
        "availability": "in_stock",
        "gtin": "9780000000002",
        "virtual_model_link": "https://shop.example/book.glb",
        "attributes": '{"cover": "Cloth", "num_reviews": "12", "rating": "4.5", '
        '"weight": "0.5 KGM"}',
    }


def test_a_line_that_is_no_json_or_no_product_is_a_row_with_a_problem(backend):
    rows = _said(_read(backend, "schema_org", SAMPLES / "schema_org" / "lines.jsonl"))
    assert [row.get("id") for row in rows] == ["A1", None, None, "A3", "A4"]
    assert rows[0]["title"] == "Lamp 灯 💡"
    assert rows[1]["problem"] == "the line or script is no JSON"
    assert rows[1]["raw_text"].startswith('{"@type": "Product", "sku": "A2"')
    assert rows[2]["problem"] == "what is there names no @type"
    assert (rows[3]["raw_price"], rows[3]["raw_availability"]) == ("on request GBP", "soon")
    assert (rows[4]["problem"], rows[4]["raw_price"]) == (NO_CURRENCY, "3")


def test_products_are_found_in_graphs_lists_and_pages(backend):
    rows = _said(_read(backend, "schema_org", SAMPLES / "schema_org" / "graph.json"))
    assert [(row["id"], row["title"]) for row in rows] == [("G1", "Chair"), ("G2", "Table")]
    page = _said(_read(backend, "schema_org", SAMPLES / "schema_org" / "page.html"))
    assert (page[0]["title"], page[0]["price_minor"]) == ("Executive Anvil <1 ton>", 11_999)
    assert page[0]["availability"] == "preorder"
    assert page[1]["problem"] == "the line or script is no JSON"
    assert len(page) == 2


def test_half_a_letter_in_json_does_not_stop_a_feed(backend, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"@type": "Product", "sku": "1", "name": "a\\ud83d b"}\n')
    assert _read(backend, "schema_org", tmp_path)["title"].to_list() == ["a? b"]


def test_of_several_offers_the_cheapest_that_can_be_had_counts():
    offers = [{"price": 5, "availability": "SoldOut"}, {"price": "9"}, {"price": "on request"}]
    assert _offers.best({"offers": offers, "priceCurrency": "EUR"})["price"] == "9"
    assert _offers.best(offers[:1])["price"] == 5
    assert _offers.best(None) == {}
    low = {"lowPrice": 3, "priceCurrency": "USD"}
    assert _offers.said(_offers.best(low))["price"] == "3 USD"


def test_long_arrays_are_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(_json, "PIECE_BYTES", 7)
    things = [{"name": "ü" * k, "k": [k]} for k in range(30)]
    for text in (json.dumps(things, indent=1), '{"@context": "x", "@graph": [%s]}'):
        inside = json.dumps(things, ensure_ascii=False)[1:-1]
        (tmp_path / "a.json").write_text(text.replace("%s", inside))
        whole = list(_json.values(tmp_path / "a.json"))
        assert (whole if len(whole) > 1 else whole[0]["@graph"]) == things


# Prices


PRICES = [
    ("19.99 USD", 1999, "USD"), ("USD 19.99", 1999, "USD"), ("19.99USD", 1999, "USD"),
    ("usd19", 1900, "USD"), ("€19,99", 1999, "EUR"), ("1.299,00 EUR", 129_900, "EUR"),
    ("1,299.00", 129_900, "SEK"), ("1 299,50 kr", 129_950, "SEK"), ("$5", 500, "SEK"),
    ("1'299.00 CHF", 129_900, "CHF"), ("1,23,456.50 INR", 12_345_650, "INR"),
    ("1500 JPY", 1500, "JPY"), ("1.299.000 VND", 1_299_000, "VND"), ("2.5 KWD", 2500, "KWD"),
    ("1\u202f299,00 €", 129_900, "EUR"), ("0 USD", 0, "USD"),
    ("0.001 USD", 1, "USD"), ("-3 USD", -300, "USD"), ("12,3456 USD", None, "USD"),
    ("10-20 USD", None, "USD"), ("free", None, "SEK"), ("1e5 USD", None, "USD"),
    ("9" * 30 + " USD", None, "USD"), ("1.2.3 USD", None, "USD"), ("5 XXQ", 500, "SEK"),
]  # fmt: skip


def test_prices_are_read_as_feeds_write_them(backend):
    said = [
        {"line": line, "id": "1", "title": "A", "price": text}
        for line, (text, _, _) in enumerate(PRICES)
    ]
    rows = _products.understood(_products.staged(backend, said), "SEK").to_polars().sort("line")
    read = rows.select("price_minor", "currency", "raw_price").rows()
    assert [(text, *row[:2]) for (text, _, _), row in zip(PRICES, read, strict=True)] == PRICES
    assert [row[2] for row in read] == [t if minor is None else None for t, minor, _ in PRICES]


def test_every_currency_of_the_schema_is_known():
    assert schema.EXPONENTS.keys() - {"UYI"} <= _money.CODES


@pytest.mark.parametrize("name", ["merchant_center", "shopify", "schema_org"])
def test_a_wrong_currency_is_refused_and_a_source_without_a_file_says_what_to_give(name):
    with pytest.raises(BadConfig, match="currency must be"):
        registry.build("data.sources", name, currency="pounds")
    with pytest.raises(BadData, match="none was given"):
        registry.build("data.sources", name).files(None)


# Round trips

LETTERS = st.characters(exclude_categories=("Cs", "Cc", "Cn"))
NASTY = st.sampled_from(
    ["\"", "'", "\t", "\n", ",", ";", "|", "\\", "&amp;", "<b>", "]]>", "💡", "男士", "'); DROP--",
     "\"\"", "{\"a\": 1}", "</script>", "%2C", "null", "  ", "é", "\u202e"]
)  # fmt: skip
TITLES = st.lists(st.one_of(NASTY, LETTERS), min_size=1, max_size=15).map("".join)
WORDS = TITLES.map(str.strip).filter(bool)


def _write(form, path, titles):
    rows = [{"id": f"A{place}", "title": title} for place, title in enumerate(titles)]
    with path.open("w", encoding="utf-8", newline="") as file:
        if form in ("tsv", "csv", "shopify"):
            delimiter = "\t" if form == "tsv" else ","
            names = ["Handle", "Title"] if form == "shopify" else ["id", "title"]
            quoting = csv.QUOTE_ALL if form == "tsv" else csv.QUOTE_MINIMAL
            writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n")
            writer.writerows([names, *(list(row.values()) for row in rows)])
        elif form in ("rss", "atom"):
            holder = "<rss><channel>{}</channel></rss>" if form == "rss" else "<feed>{}</feed>"
            item = "item" if form == "rss" else "entry"
            parts = [
                f"<{item}>{''.join(f'<g:{k}>{escape(v)}</g:{k}>' for k, v in row.items())}</{item}>"
                for row in rows
            ]
            file.write(holder.format("".join(parts)))
        else:
            things = [{"@type": "Product", "sku": r["id"], "name": r["title"]} for r in rows]
            lines = [
                json.dumps(thing, ensure_ascii=place % 2) for place, thing in enumerate(things)
            ]
            file.write("\n".join(lines) if form == "jsonl" else f"[{', '.join(lines)}]")


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("tsv", "merchant_center"), ("csv", "merchant_center"), ("rss", "merchant_center"),
        ("atom", "merchant_center"), ("shopify", "shopify"), ("jsonl", "schema_org"),
        ("json", "schema_org"),
    ],
)  # fmt: skip
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(titles=st.lists(WORDS, min_size=2, max_size=30))
def test_awkward_titles_come_back_as_they_were_written(backend, tmp_path, form, name, titles):
    ending = {"rss": "xml", "atom": "xml", "shopify": "csv"}.get(form, form)
    path = tmp_path / f"{form}.{ending}"
    _write(form, path, titles)
    rows = _read(backend, name, path)
    assert rows["title"].to_list() == titles
    assert rows["id"].to_list() == [f"A{place}" for place in range(len(titles))]


@settings(max_examples=5, deadline=None)
@given(pairs=st.dictionaries(WORDS, WORDS, max_size=5))
def test_attributes_are_sound_json_whatever_they_hold(backend, pairs):
    row = {"line": 1, "raw_text": json.dumps(pairs)}
    table = _products.staged(backend, [row])
    names = [(ibis.literal(name), ibis.literal(value)) for name, value in pairs.items()]
    (found,) = table.select(a=_products.as_object(names)).to_polars()["a"]
    assert (json.loads(found) if found else {}) == pairs


# Whole loads


@pytest.mark.parametrize(
    ("name", "kept", "refused"),
    [("merchant_center", 4, 2), ("shopify", 6, 3), ("schema_org", 8, 4)],
)
def test_products_come_into_the_lake_and_what_is_broken_into_quarantine(
    tmp_path, name, kept, refused
):
    files = {"merchant_center": "rss.xml", "shopify": "products_export.csv"}
    place = SAMPLES / name / files.get(name, "")
    lake = Lake(tmp_path / "lake")
    done = load(registry.build("data.sources", name), place, lake)
    products = lake.table("products").to_polars()
    quarantine = lake.table("quarantine").to_polars()
    assert (products.height, quarantine.height) == (kept, refused)
    assert done.rows["products"] == kept
    assert all(isinstance(json.loads(row), dict) for row in quarantine["row"])
    if name == "merchant_center":
        assert quarantine.sort("line")["reason"].to_list() == ["id is missing", NO_CURRENCY]
        assert products.filter(id="TSHIRT-1-S")["price_minor"].to_list() == [129_900]


# Broken files

HEAD = '<?xml version="1.0"?>\n<rss><channel>\n'
ITEM = "<item><g:id>1</g:id>\n<g:title>A</g:title></item>\n"
BOMB = (
    '<?xml version="1.0"?>\n<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<rss><channel><item><g:id>&b;</g:id></item></channel></rss>"
)
OUTSIDE = BOMB.replace('"aaaa"', 'SYSTEM "file:///etc/hostname"')
THING = '{"@type": "Product", "sku": "1", "name": "A"}'
BROKEN = {
    "cut xml": ("merchant_center", "a.xml", HEAD + ITEM + ITEM[:20], "line 5, column 21.*half"),
    "two roots": ("merchant_center", "a.xml", "<rss/><rss/>", "line 1, column 7"),
    "bare &": ("merchant_center", "a.xml", HEAD + "<item>a & b</item>", "line 3"),
    "unknown entity": (
        "merchant_center",
        "a.xml",
        HEAD + "<item>&nbsp;</item>",
        "undefined entity",
    ),
    "bomb": ("merchant_center", "a.xml", BOMB, r"document type \(DTD\), line 2"),
    "outside": ("merchant_center", "a.xml", OUTSIDE, "document type"),
    "deep": ("merchant_center", "a.xml", HEAD + "<a>" * 99, "more than 32 deep"),
    "deep item": ("merchant_center", "a.xml", HEAD + "<item>" + "<a>" * 99, "more than 32 deep"),
    "no items": ("merchant_center", "a.xml", HEAD + "</channel></rss>", "has no entry or item"),
    "no xml": ("merchant_center", "a.xml", "just words", "line 1, column 1"),
    "empty xml": ("merchant_center", "a.xml", "", "empty"),
    "no id": ("merchant_center", "a.tsv", "idd\ttitle\n1\tA\n", "no column 'id'.*Is it 'idd'"),
    "no rows": ("merchant_center", "a.tsv", "id\ttitle\n", "no rows"),
    "no handle": ("shopify", "a.csv", "Handel,Title\na,A\n", "no column 'Handle'.*Is it 'Handel'"),
    "empty csv": ("shopify", "a.csv", "", "empty"),
    "no json": ("schema_org", "a.json", "just words", "no JSON"),
    "cut document": ("schema_org", "a.json", '{"@type":\n"Product", ', "line 2"),
    "cut array": ("schema_org", "a.json", f"[{THING},\n{THING},\n{THING[:20]}", "line 3"),
    "no product": ("schema_org", "a.json", '{"@type": "Organization"}', "no schema.org Product"),
    "no lines": ("schema_org", "a.jsonl", "{\n{\n", "no schema.org Product"),
    "blank": ("schema_org", "a.json", " \n\n", "only blanks"),
    "empty json": ("schema_org", "a.json", "", "empty"),
    "deep json": ("schema_org", "a.json", '{"@type":\n' + "[" * 200_000, "nested too deep|line"),
}


@pytest.mark.parametrize("harm", BROKEN)
def test_a_broken_file_is_one_line_that_names_it(backend, tmp_path, harm):
    name, file, content, said = BROKEN[harm]
    (tmp_path / file).write_text(content)
    with pytest.raises(BadData, match=said) as error:
        _read(backend, name, tmp_path / file)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "file"), [("merchant_center", "a.xml"), ("schema_org", "a.jsonl")]
)
def test_a_packed_file_that_is_cut_or_a_bomb_is_refused(backend, tmp_path, name, file):
    content = (HEAD + ITEM * 20_000 + "</channel></rss>") if name == "merchant_center" else THING
    packed = gzip.compress(content.encode())
    path = tmp_path / f"{file}.gz"
    path.write_bytes(packed[:-12])
    with pytest.raises(BadData, match="half-written"):
        _read(backend, name, path)
    path.write_bytes(gzip.compress(b" " * 40_000_000 + content.encode()))
    with pytest.raises(BadData, match="more than 200 times"):
        _read(backend, name, path)


def test_a_packed_table_that_is_a_bomb_is_refused_and_a_small_one_is_not(backend, tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"id\ttitle\n" + b"1\tA\n" * 10_000_000))
    with pytest.raises(BadData, match="more than 200 times"):
        _read(backend, "merchant_center", path)
    path.write_bytes(gzip.compress(b"id\ttitle\n" + b"1\tA\n" * 1000))
    assert _read(backend, "merchant_center", path).height == 1000
    _packing.refuse_bombs(path)


@pytest.mark.parametrize("where", ["text", "mark", "comment", "many", "channel"])
def test_an_item_beyond_all_measure_stops_a_feed_before_memory_fills(tmp_path, monkeypatch, where):
    monkeypatch.setattr(_xml, "ITEM_BYTES_MAX", 500_000)
    filling = "x" * 20_000_000
    inside = {
        "text": f"<g:id>{filling}",
        "mark": f'<g:id href="{filling}',
        "comment": f"<!--{filling}",
        "many": "<g:id>1</g:id>" * 1_000_000,
    }
    path = tmp_path / "a.xml"
    path.write_text(HEAD + (f"<item>{inside[where]}" if where in inside else filling))
    tracemalloc.start()
    with pytest.raises(BadData, match="no whole item"):
        list(_xml.items(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_feed_is_read_as_it_comes_and_takes_no_more_memory_when_longer(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(HEAD + ITEM * 60_000)
    assert len(list(islice(_xml.items(path), 10))) == 10
    tracemalloc.start()
    with pytest.raises(BadData, match="half-written"):
        for _ in _xml.items(path):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000
