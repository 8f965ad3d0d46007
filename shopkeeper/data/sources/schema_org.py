"""Products as schema.org describes them, in JSON-LD: files, JSON lines, or the shop's own pages.

Source: schema.org's types Product, ProductGroup, Offer and AggregateOffer, and what Google's search
documentation says of variants. Of several offers the cheapest that can be had counts. A variant
has what its group says and it does not. Expanded and framed JSON-LD, other contexts than
schema.org and prices by region are not known.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shopkeeper.data.sources import _files, _json, _money, _offers, _products
from shopkeeper.data.sources._offers import first, texts
from shopkeeper.errors import BadData
from shopkeeper.schema import LINES_PER_FILE

if TYPE_CHECKING:
    import ibis

Node = dict[str, Any]

PRODUCTS = frozenset(("Product", "IndividualProduct", "ProductModel", "SomeProducts", "Vehicle",
                      "Book", "Car"))  # fmt: skip
GROUPS = frozenset(("ProductGroup",))
HOLDERS = ("@graph", "mainEntity", "itemListElement", "item", "itemOffered")
"""Properties of other things that may hold products."""

GROUPS_MAX = 50_000
"""Groups of a file that are remembered for variants that come later."""
DEPTH_MAX = 12

SAME = {
    "title": ("name",),
    "description": ("description",),
    "brand": ("brand", "manufacturer"),
    "product_type": ("category",),
    "color": ("color",),
    "size": ("size",),
    "material": ("material",),
    "mpn": ("mpn",),
    "gtin": ("gtin", "gtin14", "gtin13", "gtin12", "gtin8", "isbn"),
    "item_group_id": ("inProductGroupWithID", "productGroupID"),
    "id": ("sku", "productID", "identifier"),
    "link": ("url",),
}
"""Our attributes by the properties that say them, the best first."""

TAKEN = {name for names in SAME.values() for name in names} | {
    "@id", "@type", "@context", "offers", "image", "itemCondition", "audience", "hasVariant",
    "isVariantOf", "subjectOf", "additionalProperty", "aggregateRating", "variesBy", "review",
}  # fmt: skip


class SchemaOrg:
    """Reads products of JSON-LD."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """How to read the files."""

        currency: str = ""
        """ISO 4217 code of offers that name none; empty to refuse them."""

        def __post_init__(self) -> None:
            _money.known(self.currency)

    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read."""
        if location is None:
            raise BadData(
                "The source schema_org reads your own files, but none was given. Give a JSON-LD or "
                "JSON lines file of products, or a folder of your shop's pages."
            )
        return _files.listed(location, (".json", ".jsonld", *_json.LINES, *_json.PAGES))

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return `products` as the files have them; a broken file, or no product, is BadData."""
        rows = _products.staged(backend, _rows(files))
        return {"products": _products.understood(rows, self.config.currency)}


def _rows(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    found = False
    for place, path in enumerate(files):
        for number, row in enumerate(_of_file(path), start=1):
            found = found or "problem" not in row
            row["line"] = place * LINES_PER_FILE + number
            yield row
    if not found:
        names = ", ".join(str(path) for path in files[:3])
        raise BadData(
            f"There is no schema.org Product in {names}. Give a JSON-LD feed of products."
        )


def _of_file(path: Path) -> Iterator[dict[str, Any]]:
    groups: dict[str, Node] = {}
    for value in _json.values(path):
        if isinstance(value, _json.Broken):
            yield {"problem": "the line or script is no JSON", "raw_text": value.text}
        elif not isinstance(value, list) and not _says_what(value):
            shown = json.dumps(value, ensure_ascii=False)[:500]
            yield {"problem": "what is there names no @type", "raw_text": shown}
        else:
            for node in _nodes(value, groups):
                yield row_of(node)


def _says_what(value: Any) -> bool:
    return isinstance(value, dict) and not value.keys().isdisjoint(("@type", *HOLDERS))


def _nodes(value: Any, groups: dict[str, Node], depth: int = 0) -> Iterator[Node]:
    """Find the products within a value, each with what its group says."""
    within: list[Any] = []
    if isinstance(value, list):
        within = value
    elif isinstance(value, dict):
        kinds = _kinds(value.get("@type"))
        if kinds & GROUPS or (kinds & PRODUCTS and "hasVariant" in value):
            yield from _variants(value, groups, depth)
        elif kinds & PRODUCTS:
            yield _of_group(value, groups) | value
        else:
            within = [value[name] for name in HOLDERS if name in value]
    if depth < DEPTH_MAX:
        for each in within:
            yield from _nodes(each, groups, depth + 1)


def _kinds(said: Any) -> set[str]:
    """Return types without the address of schema.org or a prefix for it."""
    names = (said,) if isinstance(said, str) else texts(said)
    return {name.rpartition("/")[2].rpartition(":")[2] for name in names}


def _of_group(node: Node, groups: dict[str, Node]) -> Node:
    """Return what is said of the group that a product is a variant of."""
    parent = node.get("isVariantOf")
    if isinstance(parent, dict):
        return _shared(parent) | groups.get(str(parent.get("@id")), {})
    return groups.get(str(node.get("@id")), {})


def _variants(group: Node, groups: dict[str, Node], depth: int) -> Iterator[Node]:
    shared = _shared(group)
    said = group.get("hasVariant", [])
    variants = [each for each in (said if isinstance(said, list) else [said]) if each]
    for name in texts([each.get("@id") for each in (group, *variants) if isinstance(each, dict)]):
        groups[name] = shared
    while len(groups) > GROUPS_MAX:
        del groups[next(iter(groups))]
    for variant in variants:
        # One that is only named by its @id comes by itself later.
        if isinstance(variant, dict) and variant.keys() - {"@id", "@type"} and depth < DEPTH_MAX:
            yield from _nodes(shared | {"@type": "Product"} | variant, groups, depth + 1)
    if not variants and "offers" in group:
        yield group


def _shared(group: Node) -> Node:
    """Return what a group says of all its variants."""
    left_out = ("@id", "@type", "@context", "hasVariant", "sku", "gtin", "productID", "isVariantOf")
    shared = {name: value for name, value in group.items() if name not in left_out}
    if "@id" in group:
        shared.setdefault("productGroupID", group["@id"])
    return shared


def row_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """Put what schema.org says of a product under the names of `_products.SAID`."""
    said: dict[str, str | None] = {
        ours: first(*[node[name] for name in names if name in node]) for ours, names in SAME.items()
    }
    offer = _offers.best(node.get("offers"))
    images = texts(node.get("image"), ("url", "contentUrl", "@id"))
    audience = node.get("audience")
    said["gender"] = first(_within(audience, "suggestedGender"))
    said["image_link"] = images[0] if images else None
    said["additional_image_link"] = ",".join(url.replace(",", "%2C") for url in images[1:]) or None
    said["virtual_model_link"] = _model(node.get("subjectOf"))
    said |= _offers.said(offer)
    said["condition"] = first(offer.get("itemCondition"), node.get("itemCondition"))
    said["link"] = said["link"] or first(offer.get("url"))
    said["id"] = said["id"] or first(offer.get("sku")) or said["gtin"] or said["mpn"]
    said["id"] = said["id"] or first(node.get("@id"), said["link"])
    row: dict[str, Any] = dict(said)
    row["attributes"] = _products.as_attributes(_rest(node))
    return row


def _rest(node: Mapping[str, Any]) -> dict[str, str]:
    """Return what else is said in plain values, properties of the shop's own among them."""
    rest: dict[str, str] = {}
    own = node.get("additionalProperty")
    for pair in own if isinstance(own, list) else [own]:
        name, value = first(_within(pair, "name")), _measure(pair)
        if name and value:
            rest[_products.attribute(name)] = value
    rating = node.get("aggregateRating")
    for ours, names in (
        ("rating", ("ratingValue",)),
        ("num_reviews", ("reviewCount", "ratingCount")),
    ):
        value = first(*(_within(rating, name) for name in names))
        if value:
            rest[ours] = value
    for name in node.keys() - TAKEN:
        value = _measure(node[name])
        if value:
            rest.setdefault(_snake(name), value)
    return rest


def _measure(value: Any) -> str | None:
    """Return a plain value, or one with its unit: `{"value": 5, "unitCode": "KGM"}` is `5 KGM`."""
    if isinstance(value, dict):
        amount = first(value.get("value"))
        unit = first(value.get("unitText"), value.get("unitCode"))
        return f"{amount} {unit}" if amount and unit else amount
    if isinstance(value, list):
        plain = [each for each in value if not isinstance(each, dict | list)]
        return ",".join(texts(plain)) or None
    return first(value)


def _model(subjects: Any) -> str | None:
    """Return the address of a 3D model."""
    for subject in subjects if isinstance(subjects, list) else [subjects]:
        if _within(subject, "@type") == "3DModel":
            coded = subject.get("encoding")
            return first(_within(coded[0] if isinstance(coded, list) and coded else coded,
                                 "contentUrl"))  # fmt: skip
    return None


def _within(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


@lru_cache(10_000)
def _snake(name: str) -> str:
    spaced = "".join(f"_{letter}" if letter.isupper() else letter for letter in name)
    return _products.attribute(spaced)
