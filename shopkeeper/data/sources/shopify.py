"""The product export of Shopify: one row a variant, one more a picture, by `Handle`.

Source: Shopify's description of its product CSV, in the column names before 2025 and since. What is
said of a product stands in the first row of its handle and holds for all its rows. The export has
neither currency nor addresses of pages: settings name them. A product that is a draft, or not on
the online store, is refused; one that is archived can be bought no more, but its past is known.
Does not know stock by location, nor metafields' types.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shopkeeper.data.sources import _files, _money, _products
from shopkeeper.errors import BadData

if TYPE_CHECKING:
    import ibis

NEEDED = {"handle": ("Handle", "URL handle"), "title": ("Title",)}

OF_PRODUCT = {
    "handle": ("Handle", "URL handle"),
    "title": ("Title",),
    "description": ("Body (HTML)", "Description"),
    "brand": ("Vendor",),
    "category": ("Product Category",),
    "type": ("Type",),
    "published": ("Published", "Published on online store"),
    "status": ("Status",),
    "name1": ("Option1 Name",),
    "name2": ("Option2 Name",),
    "name3": ("Option3 Name",),
    "google_product_category": ("Google Shopping / Google Product Category",),
    "gender": ("Google Shopping / Gender",),
    "age_group": ("Google Shopping / Age Group",),
    "condition": ("Google Shopping / Condition",),
}
"""What is said once for all rows of a handle, under the names it has had."""

OF_VARIANT = {
    "sku": ("Variant SKU", "SKU"),
    "value1": ("Option1 Value",),
    "value2": ("Option2 Value",),
    "value3": ("Option3 Value",),
    "price": ("Variant Price", "Price"),
    "compare_at": ("Variant Compare At Price", "Compare-at price"),
    "cost": ("Cost per item",),
    "tracker": ("Variant Inventory Tracker", "Inventory tracker"),
    "pieces": ("Variant Inventory Qty", "Inventory quantity"),
    "policy": ("Variant Inventory Policy", "Continue selling when out of stock"),
    "barcode": ("Variant Barcode", "Barcode"),
    "mpn": ("Google Shopping / MPN",),
    "variant_image": ("Variant Image", "Variant image URL"),
    "image": ("Image Src", "Product image URL"),
    "image_place": ("Image Position",),
}
"""What a row says of itself."""

OPTIONS = {"color": ["color", "colour"], "size": ["size"], "material": ["material"]}
LEFT_OUT = ("image_", "option", "variant_", "google_shopping_", "seo_", "included_", "price_",
            "compare_at_", "weight_", "inventory_", "fulfillment", "charge_tax", "requires_",
            "tax_code", "unit_price", "gift_card")  # fmt: skip
"""Beginnings of columns about shipping, taxes and markets, not about the product."""


class Shopify:
    """Reads exports of products; a variant is a product here, its handle the `item_group_id`."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What the export does not say."""

        currency: str = "USD"
        """ISO 4217 code of the prices."""
        shop_url: str = ""
        """Address of the shop, such as `https://shop.example`, for `link`; empty for no links."""
        id_from: str = "sku"
        """What ids are made of: `sku`, the handle and options where a row has none; or `handle`."""
        encoding: str = "utf-8"
        """Encoding of the CSV; spreadsheets often write `latin-1`."""

        def __post_init__(self) -> None:
            if not _money.known(self.currency):
                raise ValueError("currency must be a code such as USD, but is empty")
            if self.id_from not in ("sku", "handle"):
                raise ValueError(f"id_from must be 'sku' or 'handle', but is '{self.id_from}'")

    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read."""
        if location is None:
            raise BadData(
                "The source shopify reads your own export, but none was given. Export your "
                "products as CSV in Shopify and give the file."
            )
        return _files.listed(location, (".csv",))

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `products` as the export has them, a variant a row; a broken file is BadData."""
        rows = _files.open_rows(backend, files, encoding=self.config.encoding)
        _files.pick(rows, NEEDED, files[0])
        names = {_plain(name): name for name in reversed(rows.columns)}
        columns = {
            word: next((rows[names[_plain(n)]] for n in there if _plain(n) in names), None)
            for word, there in (OF_PRODUCT | OF_VARIANT).items()
        }
        more = _more(rows.columns, OF_PRODUCT | OF_VARIANT)
        columns |= {f"more_{word}": rows[name] for word, name in more.items()}
        columns["problem"] = rows.problem
        raw = rows.select("line", **{word: _text(column) for word, column in columns.items()})
        return {
            "products": self._products(_carried(_files.settled(raw), sorted(more)), sorted(more))
        }

    def _products(self, rows: "ibis.Table", more: list[str]) -> "ibis.Table":
        import ibis

        none = ibis.null("string")
        before, now = (_money.number(_money.digits(rows[name])) for name in ("compare_at", "price"))
        on_sale = before > now
        options = [
            (rows[f"name{k}"].lower(), rows[f"name{k}"], rows[f"value{k}"]) for k in (1, 2, 3)
        ]
        chosen = {
            column: ibis.coalesce(
                *(name.isin(words).ifelse(value, none) for name, _, value in options)
            )
            for column, words in OPTIONS.items()
        }
        ours = sorted(word for words in OPTIONS.values() for word in words)
        kept = [
            # A product without options has one all the same, "Title", that is "Default Title".
            (
                shown.lower().re_replace(r"[^\pL\pN]+", "_"),
                (name.isin(ours) | (value == "Default Title")).ifelse(none, value),
            )
            for name, shown, value in options
        ]
        kept += [(word, rows[f"more_{word}"]) for word in more]
        if self.config.shop_url:
            page = ibis.literal(f"{self.config.shop_url.rstrip('/')}/products/").concat(rows.handle)
        columns = {
            **chosen,
            "id": self._id(rows),
            "title": rows.title,
            "description": rows.description,
            "product_type": rows.type.coalesce(rows.category),
            "brand": rows.brand,
            "price": on_sale.ifelse(rows.compare_at, rows.price),
            "sale_price": on_sale.ifelse(rows.price, none),
            "cost_of_goods_sold": rows.cost,
            "availability": _availability(rows),
            "link": page if self.config.shop_url else none,
            "image_link": rows.variant_image.coalesce(rows.first_image),
            "additional_image_link": rows.more_images,
            "item_group_id": (rows.num_variants > 1).ifelse(rows.handle, none),
            "gender": rows.gender,
            "age_group": rows.age_group,
            "condition": rows.condition,
            # Spreadsheets are kept from making numbers of codes by a mark before them.
            "gtin": rows.barcode.re_replace("^'", ""),
            "mpn": rows.mpn,
            "google_product_category": rows.google_product_category,
            "attributes": _products.as_object(kept),
            "problem": _problem(rows),
        }
        return _products.understood(_products.said(rows, columns), self.config.currency)

    def _id(self, rows: "ibis.Table") -> Any:
        import ibis

        values = [rows[f"value{place}"] for place in (1, 2, 3)]
        whole = rows.handle
        for value in values:
            said = (value.lower() == "default title").ifelse(ibis.null("string"), value)
            whole = whole.concat(ibis.literal("-").concat(said.lower()).fill_null(""))
        of_handle = (rows.num_variants > 1).ifelse(whole, rows.handle).re_replace(r"\s+", "-")
        return of_handle if self.config.id_from == "handle" else rows.sku.coalesce(of_handle)


def _carried(raw: "ibis.Table", more: list[str]) -> "ibis.Table":
    """Leave the rows of variants, with what the first row of their handle says of the product."""
    import ibis

    own = [raw.sku, raw.value1, raw.price]
    raw = raw.mutate(_says=ibis.or_(*(column.notnull() for column in own)))
    first = raw.group_by("handle").agg(_first=raw.line.min())
    variant = raw.inner_join(first, "handle")
    heads = variant.filter(variant.line == variant._first)
    shared = [word for word in OF_PRODUCT if word != "handle"] + [f"more_{word}" for word in more]
    heads = heads.select("handle", **{f"head_{word}": heads[word] for word in shared})
    place = raw.image_place.try_cast("int64")
    pictures = raw.filter(raw.image.notnull()).mutate(_place=place.fill_null(1_000_000))
    order = [pictures._place, pictures.line]
    pictures = pictures.group_by("handle").agg(
        first_image=pictures.image.first(order_by=order),
        images=pictures.image.replace(",", "%2C").group_concat(",", order_by=order),
    )
    variants = variant.filter((variant.line == variant._first) | variant._says)
    counts = variants.group_by("handle").agg(num_variants=variants.count())
    rows = variants.left_join(heads, "handle").drop("handle_right")
    rows = rows.left_join(pictures, "handle").drop("handle_right")
    rows = rows.left_join(counts, "handle").drop("handle_right")
    whole = {word: rows[word].coalesce(rows[f"head_{word}"]) for word in shared}
    others = rows.images.substr(rows.first_image.replace(",", "%2C").length() + 1).nullif("")
    nameless = raw.filter(raw.handle.isnull())
    columns = [*raw.columns, "first_image", "more_images", "num_variants"]
    known = rows.mutate(**whole, more_images=others).select(columns)
    lost = nameless.mutate(
        first_image=ibis.null("string"),
        more_images=ibis.null("string"),
        num_variants=ibis.literal(1, "int64"),
    )
    return _files.settled(known.union(lost.select(columns)))


def _availability(rows: "ibis.Table") -> Any:
    """Tell what can be bought; null where stock is counted and the export has no count."""
    import ibis

    pieces = _files.as_float(rows.pieces)
    goes_on = rows.policy.lower().isin(["continue", "true", "yes"]).fill_null(False)
    return ibis.cases(
        (rows.status.lower() == "archived", "out_of_stock"),
        (rows.tracker.isnull(), "in_stock"),
        (pieces > 0, "in_stock"),
        (goes_on, "backorder"),
        (pieces <= 0, "out_of_stock"),
        else_=rows.pieces,
    )


def _problem(rows: "ibis.Table") -> Any:
    import ibis

    status = rows.status.lower()
    hidden = rows.published.lower().isin(["false", "no", "0"])
    return ibis.cases(
        (rows.problem.notnull(), rows.problem),
        (rows.handle.isnull(), "the row names no handle"),
        ((status == "draft"), "the product is a draft"),
        ((status == "unlisted"), "the product is not on the online store"),
        (hidden & (status != "archived").fill_null(True), "the product is not on the online store"),
        else_=ibis.null("string"),
    )


def _more(columns: Sequence[str], known: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the columns that say more of a product, by our words for them."""
    taken = {_plain(name) for names in known.values() for name in names} - {
        _plain("Product Category")
    }
    more: dict[str, str] = {}
    for name in columns:
        word = _products.attribute(name)
        if (
            name not in ("line", "problem")
            and _plain(name) not in taken
            and not word.startswith(LEFT_OUT)
        ):
            more.setdefault(word, name)
    return more


def _text(column: Any) -> Any:
    import ibis

    return ibis.null("string") if column is None else column.cast("string").strip().nullif("")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
