"""Which source reads a file, and which mapping, from its head alone."""

import gzip
import shutil
from pathlib import Path

import ibis
import polars as pl
import pytest

from shopkeeper import registry, schema
from shopkeeper.data import column_names, formats
from shopkeeper.data.guess import guess
from shopkeeper.data.sources import _words
from shopkeeper.errors import BadData

SAMPLES = Path(__file__).parents[2] / "samples"
KNOWN = sorted(
    file
    for folder in SAMPLES.iterdir()
    if folder.is_dir() and folder.name in registry.names("data.sources")
    for file in folder.iterdir()
    if "expected" not in file.name and folder.name != "mapped"
)
MINE = {
    "bestellungen.csv": "events", "events.jsonl": "events", "products.csv": "products",
    "reviews.tsv": "reviews", "shoppers.csv": "shoppers", "promotions.csv": "promotions",
}  # fmt: skip

HEADS = {
    # A web shop's products in English, with pictures.
    "SKU,Product Name,Unit Price,Brand,Category,Image URL,Stock\nA1,Tea,3.50,Acme,Food,"
    "https://x.org/y.jpg,4": (
        "products",
        "SKU=id,Product Name=title,Unit Price=price,Brand=brand,Category=product_type,"
        "Image URL=image_link,Stock=availability",
        {},
    ),
    "order_id,customer_id,created_at,sku,qty,price\n1,7,2024-01-02 10:00:00,A1,2,3.50": (
        "events",
        "order_id=transaction_id,customer_id=user_id,created_at=time,sku=item_id,qty=quantity,"
        "price=price",
        {"event_name": "purchase"},
    ),
    "Artikelnummer;Bezeichnung;Preis;Marke;Farbe;Lagerbestand\nA1;Tee;3,50 €;Acme;rot;4": (
        "products",
        "Artikelnummer=id,Bezeichnung=title,Preis=price,Marke=brand,Farbe=color,"
        "Lagerbestand=availability",
        {"currency": "EUR", "decimal_comma": True},
    ),
    "Bestellnr;Kundennr;Datum;Artikelnr;Menge;Einzelpreis\n1;7;31.12.2023 10:00;A1;2;3,50": (
        "events",
        "Bestellnr=transaction_id,Kundennr=user_id,Datum=time,Artikelnr=item_id,Menge=quantity,"
        "Einzelpreis=price",
        {"event_name": "purchase", "decimal_comma": True},
    ),
    "N° commande;Date commande;ID client;Code article;Quantité;Prix unitaire\n"
    "1;31/12/2023 10:00;7;A1;2;3,50": (
        "events",
        "N° commande=transaction_id,Date commande=time,ID client=user_id,Code article=item_id,"
        "Quantité=quantity,Prix unitaire=price",
        {"event_name": "purchase", "decimal_comma": True, "day_first": True},
    ),
    "Référence;Désignation;Prix;Marque;Catégorie\nA1;Thé;3,50 €;Acme;Boissons": (
        "products",
        "Référence=id,Désignation=title,Prix=price,Marque=brand,Catégorie=product_type",
        {"currency": "EUR", "decimal_comma": True},
    ),
    "codigo,nombre,precio,marca,categoria,descripcion\nA1,Té,3.50,Acme,Bebidas,Rico": (
        "products",
        "codigo=id,nombre=title,precio=price,marca=brand,categoria=product_type,"
        "descripcion=description",
        {},
    ),
    "id_pedido,fecha,cliente,producto,cantidad,precio_unitario\n1,2024-01-02,7,A1,2,3.50": (
        "events",
        "id_pedido=transaction_id,fecha=time,cliente=user_id,producto=item_id,cantidad=quantity,"
        "precio_unitario=price",
        {"event_name": "purchase"},
    ),
    "codice_prodotto;nome;prezzo;marca;categoria\nA1;Tè;3,50;Acme;Bevande": (
        "products",
        "codice_prodotto=id,nome=title,prezzo=price,marca=brand,categoria=product_type",
        {"decimal_comma": True},
    ),
    "商品编号,商品名称,价格,品牌,分类\nA1,茶,35.00,龙井,饮料": (
        "products",
        "商品编号=id,商品名称=title,价格=price,品牌=brand,分类=product_type",
        {},
    ),
    "用户id,商品id,行为类型,时间戳\n7,A1,pv,1511544070": (
        "events",
        "用户id=user_id,商品id=item_id,行为类型=event_name,时间戳=time",
        {},
    ),
    "visitorid,itemid,event,timestamp,transactionid\n257597,355908,view,1433221332117,": (
        "events",
        "visitorid=visitor_id,itemid=item_id,event=event_name,timestamp=time,"
        "transactionid=transaction_id",
        {},
    ),
    "event_time,event_type,product_id,category_id,brand,price,user_id,user_session\n"
    "2019-10-01 00:00:00 UTC,view,44600062,2103,shiseido,35.79,5413,72d76fde": (
        "events",
        "event_time=time,event_type=event_name,product_id=item_id,price=price,user_id=user_id,"
        "user_session=session_id",
        {},
    ),
    "reviewerID,asin,overall,reviewText,summary,unixReviewTime\nA2,B00,5,Fine,Nice,1393545600": (
        "reviews",
        "reviewerID=user_id,asin=item_id,overall=rating,reviewText=text,summary=title,"
        "unixReviewTime=time",
        {},
    ),
    "Artikel;Bewertung;Kommentar;Datum\nA1;9;Gut;01.02.2024": (
        "reviews",
        "Artikel=item_id,Bewertung=rating,Kommentar=text,Datum=time",
        {"rating_max": 10.0},
    ),
    "Name,Email,Lineitem sku,Lineitem quantity,Lineitem price,Created at\n"
    "#1001,a@b.co,A1,2,3.50,2024-01-02 10:00:00 +0100": (
        "events",
        "Email=user_id,Lineitem sku=item_id,Lineitem quantity=quantity,Lineitem price=price,"
        "Created at=time",
        {"event_name": "purchase"},
    ),
    "customer,age,city,gender\n7,34,Rome,f": ("shoppers", "customer=user_id", {}),
    "promo_id,sku,start_date,end_date\nP1,A1,2024-01-01,2024-02-01": (
        "promotions",
        "promo_id=promotion_id,sku=item_id,start_date=start,end_date=end",
        {},
    ),
}


@pytest.mark.parametrize("file", KNOWN, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_sample_of_a_known_format_is_certain(file):
    found = guess(file)
    assert (found.source, found.certain) == (file.parent.name, True)
    assert found.why


def test_there_are_samples_of_every_format_that_is_recognised():
    there = {file.parent.name for file in KNOWN}
    assert {"merchant_center", "shopify", "schema_org", *formats.FIELDS, "ga4_json"} <= there


@pytest.mark.parametrize("name", sorted(MINE))
def test_samples_of_no_known_format_are_mapped_and_never_certain(name):
    found = guess(SAMPLES / "mapped" / name)
    assert (found.source, found.certain) == ("mapped", False)
    assert found.settings["table"] == MINE[name]


@pytest.mark.parametrize("head", sorted(HEADS), ids=lambda head: head.split("\n")[0][:30])
def test_columns_of_many_languages_get_our_words_and_can_be_read(tmp_path, head):
    table, mapping, settings = HEADS[head]
    file = tmp_path / "their export.csv"
    file.write_text(head + "\n", "utf-8")
    found = guess(file)
    assert found.settings == {"table": table, "map": mapping.split(",")} | settings
    assert not found.missing
    for column in found.columns:
        assert 0.3 <= column.confidence <= 1 if column.word else column.confidence == 0
        assert column.why
    source = registry.build("data.sources", "mapped", **found.settings)
    (rows,) = source.read(ibis.duckdb.connect(threads=1), [file]).values()
    (row, *_) = rows.to_polars().to_dicts()
    unread = [name for name, value in row.items() if name.startswith("raw_") and value is not None]
    assert not unread


def test_invoices_and_the_journey_are_known_by_their_columns_and_files(tmp_path):
    (tmp_path / "retail.csv").write_text(
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
        "536365,85123A,T-LIGHT,6,12/1/2010 8:26,2.55,17850,France\n"
    )
    assert guess(tmp_path / "retail.csv").source == "online_retail"
    (tmp_path / "journey").mkdir()
    for name in formats.JOURNEY:
        pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "journey" / name)
    assert guess(tmp_path / "journey").source == "complete_journey"


def test_what_a_file_is_called_and_how_it_is_packed_does_not_matter(tmp_path):
    for number, sample in enumerate(KNOWN):
        ending = formats._files.form(sample)
        packed = tmp_path / f"{number}{ending}.gz"
        packed.write_bytes(gzip.compress(sample.read_bytes()))
        assert guess(packed).source == sample.parent.name
    for sample in SAMPLES.glob("shopify/*.csv"):
        shutil.copy(sample, tmp_path / "x.txt")
        assert guess(tmp_path / "x.txt").source == "shopify"


def test_a_name_that_says_nothing_is_judged_by_its_values(tmp_path):
    (tmp_path / "t.csv").write_text(
        "order_id,product_id,c1,c2\n1,A,2024-01-02 10:00,3.50 €\n2,B,2024-01-03 11:00,4.50 €\n"
    )
    words = {column.name: column for column in guess(tmp_path / "t.csv").columns}
    assert (words["c1"].word, words["c2"].word) == ("time", "price")
    assert words["c1"].why == "its values look like times"
    assert words["c1"].confidence < words["order_id"].confidence


def test_a_name_that_its_values_deny_is_not_believed(tmp_path):
    (tmp_path / "t.csv").write_text("sku,name,price,updated\nA,Tea,on request,never\n")
    words = {column.name: column for column in guess(tmp_path / "t.csv").columns}
    assert words["price"].confidence < 0.5
    assert "look like words" in words["price"].why


def test_what_lacks_is_said(tmp_path):
    (tmp_path / "t.csv").write_text("user_id,item_id,time\n1,2,2024-01-01\n")
    assert guess(tmp_path / "t.csv").missing == (
        'what the rows are: add event_name, such as "view_item"',
    )
    (tmp_path / "t.csv").write_text("foo,bar\n1,2\n")
    assert guess(tmp_path / "t.csv").missing == ("which column is the id: add it to map",)
    (tmp_path / "t.csv").write_text("user_id,item_id,time,event\n1,2,2024-01-01,schaut\n")
    assert guess(tmp_path / "t.csv").missing == ("what 'schaut' mean: add events",)


def test_an_encoding_that_is_not_utf_8_is_proposed(tmp_path):
    (tmp_path / "t.csv").write_bytes("sku;name;größe\nA;Käse;5\n".encode("cp1252"))
    found = guess(tmp_path / "t.csv")
    assert found.settings["encoding"] == "cp1252"
    assert "größe=size" in found.settings["map"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b""), ("a.csv", b"\n"), ("a.json", b"{"), ("a.xml", b"<a/>"), ("a.parquet", b"PAR1"),
     ("a.html", b"hello"), ("a.jsonl", b"[1, 2]"), ("a.csv", bytes(range(256)))],
)  # fmt: skip
def test_a_file_that_is_nothing_is_one_clear_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData) as error:
        guess(tmp_path / name)
    assert "\n" not in str(error.value)


def test_every_name_has_one_word_and_every_word_is_one_of_a_table():
    names = [(column_names.plain(name), word) for word, names in column_names.NAMES.items()
             for name in [word, *names.split()]]  # fmt: skip
    owners = {}
    for name, word in names:
        assert owners.setdefault(name, word) == word, name
    own = {column_names.PRODUCT, "review_title"}
    known = {word for words in _words.WORDS.values() for word in words}
    assert set(column_names.NAMES) - own <= known
    assert set(_words.EVENT_WORDS) <= set(schema.EVENT_NAMES)
