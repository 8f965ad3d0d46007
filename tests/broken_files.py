"""Files as they should not be: name, who is to read it, and its content.

Written from what exports, editors, networks and ill will do to files; `tests/stories` loads each.
"""

import gzip
import io
import json
import zlib

import polars as pl

HEAD = "id,title,price,product_type\n"
GOOD = "a,Red mug,5.00,Home > Mugs\n"
LOG = "event_id,event_name,time,user_id,item_id,quantity,price\n"
BUY = "e1,purchase,2024-01-01 10:00:00,ann,a,1,5.00\n"
XML = '<?xml version="1.0"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
ITEM = "<item><g:id>a</g:id><title>Red mug</title><g:price>5.00 EUR</g:price></item>"
GA4 = {
    "event_name": "purchase", "event_timestamp": "1704103200000000", "user_pseudo_id": "v",
    "items": [{"item_id": "a", "price": 5.0, "quantity": "1"}],
}  # fmt: skip


def _lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _parquet(frame):
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def _bomb():
    """A hundred megabytes of spaces in a few hundred kilobytes."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [squeeze.compress(HEAD.encode())]
    parts += [squeeze.compress(b" " * (1 << 20)) for _ in range(300)]
    return b"".join(parts) + squeeze.flush()


def _products(*rows):
    return (HEAD + "".join(rows)).encode()


def _events(*rows):
    return (LOG + "".join(rows)).encode()


def _wide(columns):
    names = ",".join(f"column_{n}" for n in range(columns))
    return f"id,title,{names}\na,Red mug,{',' * (columns - 1)}\n".encode()


def _bought(**change):
    fields = dict(zip(LOG.strip().split(","), BUY.strip().split(","), strict=True)) | change
    return _events(BUY, ",".join(fields.values()) + "\n")


def mapped():
    """Broken CSV, TSV, JSON lines and Parquet for the source `mapped`."""
    yield "empty.csv", "products", b""
    yield "only-newlines.csv", "products", b"\n\n\n\n"
    yield "only-head.csv", "products", HEAD.encode()
    yield "no-head.csv", "products", GOOD.encode()
    yield "nul-bytes.csv", "products", _products(GOOD, "b,Blue\x00cup,6,\n")
    yield "all-nul.csv", "products", b"\x00" * 4096
    yield "cut-in-a-row.csv", "products", _products(GOOD, "b,Blue cu")
    yield "cut-in-a-quote.csv", "products", _products(GOOD, 'b,"Blue cup,6,Home\n', GOOD * 50)
    yield "quote-in-the-middle.csv", "products", _products(GOOD, 'b,Blue "steel" cup,6,Home\n')
    yield "quote-after-quote.csv", "products", _products('a,"Red" mug",5,Home\n', GOOD)
    yield "mixed-line-ends.csv", "products", _products(GOOD, "b,Cup,6,H\r\n", "c,Pot,7,H\r", GOOD)
    yield "too-many-columns.csv", "products", _products(GOOD, "b,Cup,6,Home,what,is,this\n")
    yield "too-few-columns.csv", "products", _products(GOOD, "b,Cup\n", "c\n")
    yield "same-column-twice.csv", "products", b"id,title,id,price\na,Red mug,b,5\n"
    yield "no-column-names.csv", "products", b",,,\na,Red mug,5,Home\n"
    yield "10000-columns.csv", "products", _wide(10_000)
    yield "huge-field.csv", "products", _products(GOOD, f"b,{'x' * 5_000_000},6,Home\n")
    yield "huge-id.csv", "products", _products(GOOD, f"{'y' * 100_000},Cup,6,Home\n")
    yield "long-line-without-end.csv", "products", HEAD.encode() + b"z" * 20_000_000
    yield "latin-1.csv", "products", (HEAD + GOOD + "b,Café crème,6,Maison\n").encode("latin-1")
    yield "utf-16.csv", "products", (HEAD + GOOD).encode("utf-16")
    yield "utf-16-cut.csv", "products", (HEAD + GOOD).encode("utf-16")[:-1]
    yield "bom.csv", "products", b"\xef\xbb\xbf" + _products(GOOD)
    yield "lone-surrogates.csv", "products", _products(GOOD) + b"b,\xed\xa0\x80cup,6,Home\n"
    yield "half-a-letter.csv", "products", _products(GOOD) + b"b,cup \xe2\x82,6,Home\n"
    yield "duplicate-ids.csv", "products", _products(GOOD * 100)
    yield "prices-that-are-none.csv", "products", _products(
        GOOD, *(f"p{n},Cup {n},{price},H\n" for n, price in enumerate(
            ["NaN", "inf", "-inf", "-5", "1e400", "99999999999999999999", "0x10", "5,00,00", "free"]
        ))
    )  # fmt: skip
    yield "sql.csv", "products", _products("a,'; DROP TABLE products; --,5,Home\n")
    yield "picture.csv", "products", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
    yield "a-page.csv", "products", b"<!doctype html><html><body>Sign in to go on</body></html>"
    yield from _packed()
    yield from _lines_and_parquet()
    yield from _moments_and_amounts()


def _packed():
    yield "bomb.csv.gz", "products", _bomb()
    yield "cut.csv.gz", "products", gzip.compress(_products(*[GOOD] * 5000))[:-40]
    yield "no-gzip.csv.gz", "products", _products(GOOD)
    yield "bad-checksum.csv.gz", "products", gzip.compress(_products(GOOD))[:-8] + b"\x00" * 8
    yield "zip.csv", "products", b"PK\x03\x04" + b"\x00" * 200


def _lines_and_parquet():
    flip = _parquet(pl.DataFrame({"id": ["a"], "title": ["Red mug"], "price": [5.0]}))
    yield "cut.parquet", "products", flip[: len(flip) // 2]
    yield "only-magic.parquet", "products", b"PAR1PAR1"
    yield "csv.parquet", "products", _products(GOOD)
    yield "damaged-footer.parquet", "products", flip[:-12] + b"\xff" * 4 + flip[-8:]
    yield "damaged-page.parquet", "products", flip[:4] + b"\xff" * 24 + flip[28:]
    yield "nested.parquet", "products", _parquet(pl.DataFrame({"id": [["a"]], "title": [{"x": 1}]}))
    yield (
        "no-rows.parquet",
        "products",
        _parquet(pl.DataFrame({"id": ["a"], "title": ["b"]}).clear()),
    )
    yield (
        "broken-lines.jsonl",
        "products",
        b'{"id": "a", "title": "Red mug"}\n{"id": "b", "ti\n[]\n7\n',
    )
    yield (
        "deep.jsonl",
        "products",
        b'{"id": "a", "title": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
    )
    yield "no-json.jsonl", "products", b"hello\nworld\n"


def _moments_and_amounts():
    yield "year-0.csv", "events", _bought(event_id="e2", time="0000-01-01 00:00:00")
    yield "year-9999.csv", "events", _bought(event_id="e2", time="9999-12-31 23:59:59")
    yield "year-300000.csv", "events", _bought(event_id="e2", time="300000-01-01")
    yield "epoch-too-large.csv", "events", _bought(event_id="e2", time="99999999999999999999")
    yield "february-30.csv", "events", _bought(event_id="e2", time="2024-02-30 10:00:00")
    yield "negative-quantity.csv", "events", _bought(event_id="e2", quantity="-3")
    yield "overflowing-quantity.csv", "events", _bought(event_id="e2", quantity="9999999999999")
    yield "overflowing-price.csv", "events", _bought(event_id="e2", price="1e300")
    yield "nan-price.csv", "events", _bought(event_id="e2", price="NaN")
    yield "no-ids.csv", "events", _bought(event_id="", item_id="")
    yield "unknown-event.csv", "events", _bought(event_id="e2", event_name="pruchase")
    yield "nothing-sound.csv", "events", _events("e1,nonsense,never,,,,\n" * 9)


def feeds():
    """Broken files of the formats that have a source of their own."""
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    yield "laughs.xml", "merchant_center", (
        f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY l0 "ha">{laughs}]>'
        "<rss><channel><item><title>&l9;</title></item></channel></rss>"
    ).encode()  # fmt: skip
    yield "outside.xml", "merchant_center", (
        b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b"<rss><channel><item><title>&x;</title></item></channel></rss>"
    )  # fmt: skip
    yield "cut.xml", "merchant_center", (XML + ITEM + "<item><g:id>b</g:id><tit").encode()
    yield "deep.xml", "merchant_center", (XML + "<a>" * 100_000).encode()
    yield (
        "one-endless-text.xml",
        "merchant_center",
        (XML + "<item><title>" + "x" * 20_000_000).encode(),
    )
    yield "no-items.xml", "merchant_center", (XML + "</channel></rss>").encode()
    yield "bare-ampersand.xml", "merchant_center", (
        XML + ITEM + "<item><title>Cup & saucer</title></item></channel></rss>"
    ).encode()  # fmt: skip
    yield (
        "wrong-encoding.xml",
        "merchant_center",
        (XML.replace("1.0", '1.0" encoding="utf-8', 1) + ITEM).encode()
        + b"<item><title>Caf\xe9</title></item></channel></rss>",
    )
    yield "nothing.xml", "merchant_center", b"   "
    yield "a-page.xml", "merchant_center", b"<html><body>404</body></html>"
    yield "one-column.tsv", "merchant_center", b"id\na\nb\n"
    yield "no-product-columns.csv", "shopify", b"Name,Value\nx,1\n"
    yield "options-only.csv", "shopify", b"Handle,Title,Variant Price\nmug,,\nmug,,\n"
    yield "no-product.json", "schema_org", b'{"@type": "Person", "name": "Ann"}'
    yield "cut.json", "schema_org", b'[{"@type": "Product", "sku": "a", "name": "Mug"}, {"@ty'
    yield "deep.json", "schema_org", b'{"@graph": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    yield "numbers.json", "schema_org", b"[1, 2, 3]"
    yield "strange-offers.json", "schema_org", json.dumps(
        {"@type": "Product", "sku": "a", "name": "Mug", "offers": [None, 5, {"price": {}}]}
    ).encode()  # fmt: skip
    yield "wrong-types.json", "ga4_bigquery", _lines(
        GA4, GA4 | {"items": {}}, GA4 | {"event_params": "x"}, GA4 | {"event_timestamp": "soon"},
        GA4 | {"items": [None, {"item_id": 5, "price": "five"}]}, [], 7, None,
    )  # fmt: skip
    yield "cut.json", "ga4_bigquery", _lines(GA4) + json.dumps(GA4).encode()[:60]
    yield "no-events.json", "ga4_bigquery", _lines({"hello": 1})
    yield "csv.json", "ga4_json", BUY.encode()
    yield "wrong-types.json", "ga4_json", _lines({"name": 5, "params": []}, {"events": {}})
    yield (
        "wrong-types.json",
        "google_retail",
        _lines(
            {"eventType": "purchase-complete", "visitorId": 7, "productDetails": "a"},
            {"eventType": []},
        ),
    )
    yield (
        "wrong-types.json",
        "algolia",
        _lines({"events": 5}, {"eventType": "click", "objectIDs": 7}),
    )
    yield "half-a-log.csv", "online_retail", b"InvoiceNo,StockCode\n536365,85123A\n"
    yield "nothing.jpg", "photos", b""
    yield "a-page.jpg", "photos", b"<html><body>404</body></html>"
    yield "notes.txt", "photos", b"no photo at all"
