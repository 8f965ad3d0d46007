"""Turns events that hold several products into rows of `schema.EVENTS`, one an event and product.

Every source first puts its events under our names, all text, with their products in a list
`items`; from there the ways are one. Knows no format, and judges nothing: a value that cannot be
read is null.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shopkeeper import schema
from shopkeeper.data.sources import _files, _money
from shopkeeper.data.sources._files import settled

if TYPE_CHECKING:
    import ibis

ITEMS_MAX = 200
"""Products an event may have, as in GA4; one with more is refused."""
EVENTS_MAX = schema.LINES_PER_FILE // schema.LINES_MAX // ITEMS_MAX
"""Events that may stand in one line."""
MOVES = ("purchase", "refund", "add_to_cart", "remove_from_cart")
"""Events of pieces: where the quantity lacks, it is one."""
UNSET = ("", "(not set)", "(not available)", "(data not available)")
"""What Google writes where nothing is known."""
MICROS_MAX = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

HEAD = (
    schema.USER, schema.VISITOR, schema.SESSION, schema.TRANSACTION, "search_term", "country",
    "device", "referrer",
)  # fmt: skip
"""Columns that only an event has; the last three are worked out late by Google, and mark none."""
EITHER = ("coupon", "item_list_id", "request_id", "location_id", "promotion_id")
"""Columns that a product has, or its event for all of them."""
_MARKED = (
    schema.EVENT_NAME, schema.TIME, *HEAD[:5], schema.ITEM, schema.QUANTITY, "_amount", "_code",
    "index", *EITHER, "_mark", "_place",
)  # fmt: skip
"""What a made id is a digest of: nothing that a setting changes."""
_SEPARATOR = "\x1f"


def rows(
    events: "ibis.Table", prefix: str, currency: str, kept: Sequence[str] = ()
) -> "ibis.Table":
    """Return one row per event and product, or per event where it has no product.

    Args:
        events: `line`, `problem`, `event_name`, `time`, `items`, and any of: the columns of `HEAD`
            and `EITHER`; `currency`; `own_id`, its id where the format has one; `mark`, what else
            tells it from others; `place`, its place in its line, from 0; `value`, what all pieces
            cost together, for products without a price; `raw_time`. `items` are records of any of
            `item_id`, `quantity`, `price`, `discount`, `currency`, `index` or `item_list_index`,
            and `EITHER`.
        prefix: What ids begin with that are made here.
        currency: Code for prices that come without one; empty for none.
        kept: Fields of an item that are handed on.

    Returns:
        Columns of `schema.EVENTS`, `line`, `problem`, `kept`, and what was said of money, pieces
        and times as `raw_...`. An event with more than `ITEMS_MAX` products is one row with a
        problem.
    """

    there = [name for name in (*HEAD, *EITHER) if name in events.columns]
    wide = _laid_out(events)
    item = _Fields(wide._item)
    said = settled(
        wide.select(
            "line", "problem", schema.EVENT_NAME, schema.TIME, "_each",
            **{name: wide[name] for name in there if name in HEAD},
            **{name: _either(wide, item, name) for name in EITHER},
            **{name: known(item(name)) for name in ("item_id", "quantity", "price", *kept)},
            _quantity=_files.as_float(item("quantity")),
            _amount=_files.as_float(item("price")),
            _discount=_files.as_float(item("discount")),
            _index=_files.as_float(item("index").coalesce(item("item_list_index"))),
            _code=item("currency").coalesce(_column(wide, schema.CURRENCY)).strip().upper(),
            _place=_column(wide, "place", 0, "int64") * ITEMS_MAX + wide._place,
            _own=_column(wide, "own_id"),
            _mark=_column(wide, "mark"),
            raw_time=_column(wide, "raw_time"),
        )
    )  # fmt: skip
    return _with_money(said, prefix, currency)


def _with_money(said: "ibis.Table", prefix: str, currency: str) -> "ibis.Table":
    """Read money and pieces, and name the rows that have no id."""
    import ibis

    listed = said._code.isin(sorted(_money.CODES))
    money = listed.ifelse(said._code, currency or ibis.null("string"))
    said = settled(said.mutate(currency=money, item_id=_files.as_id(said["item_id"])))
    said = settled(said.mutate(_factor=_money.factor(said[schema.CURRENCY])))
    found = settled(
        said.mutate(
            line=said.line + said._place * schema.LINES_MAX,
            raw_currency=said._code.nullif(said[schema.CURRENCY]),
            _price=said._amount.coalesce(said._each) * said._factor,
            _discount=said._discount * said._factor,
        )
    )
    made = settled(
        found.mutate(
            quantity=_pieces(found),
            price_minor=_files.as_minor(found._price, 0),
            discount_minor=_files.as_minor(found._discount, 0),
            index=_files.as_whole(found._index, "int32"),
            raw_quantity=found.quantity,
            raw_price=found.price,
            raw_time=found[schema.TIME].isnull().ifelse(found.raw_time, None),
        )
    )
    drop = [name for name in made.columns if name.startswith("_")]
    return made.mutate(event_id=_event_id(made, prefix)).drop("price", *drop)


def known(text: Any) -> Any:
    """Return a text without blanks around it; null where nothing is known."""
    import ibis

    # The engine's own `trim` of given signs takes three times as long.
    words = text.re_replace(r"^[\s\v]+|[\s\v]+$", "")
    return words.isin(UNSET).ifelse(ibis.null("string"), words)


def from_micros(text: Any) -> Any:
    """Read microseconds since 1970 as a time; null where they are none."""
    return _moment(text.try_cast("int64"))


def from_epoch(text: Any) -> Any:
    """Read milliseconds, or from 10^14 on microseconds, since 1970; null where they are none."""
    number = text.try_cast("int64")
    sound = number.between(0, MICROS_MAX)
    return _moment((sound & (number < 10**14)).ifelse(number * 1000, number))


def from_iso(text: Any) -> Any:
    """Read ISO 8601 with any offset, or none for UTC; null where it is no time."""
    # Nine digits of a second, as protocol buffers write them, are three too many for the engine.
    short = text.strip().re_replace(r"(\.\d{6})\d+", r"\1")
    dated = short.re_search(r"^\d{4}-\d{2}-\d{2}")
    return dated.ifelse(short, None).try_cast("timestamp('UTC', 6)")


def name_of(text: Any, names: Mapping[str, str]) -> Any:
    """Return our name of an event, or its own where we have none."""
    import ibis

    return ibis.cases(*((text == theirs, ours) for theirs, ours in names.items()), else_=text)


class _Fields:
    """Reads fields of a record; null where it has none of the name."""

    def __init__(self, record: Any) -> None:
        self.record, self.names = record, record.type().names

    def __call__(self, name: str) -> Any:
        import ibis

        return self.record[name] if name in self.names else ibis.null("string")


def _column(table: "ibis.Table", name: str, default: Any = None, dtype: str = "string") -> Any:
    import ibis

    return table[name] if name in table.columns else ibis.literal(default, dtype)


def _either(wide: "ibis.Table", item: _Fields, name: str) -> Any:
    own = known(item(name)) if name in item.names else None
    of_event = wide[name] if name in wide.columns else None
    if own is None:
        return _column(wide, name)
    return own if of_event is None else own.coalesce(of_event)


def _laid_out(events: "ibis.Table") -> "ibis.Table":
    """Return one row per event and product, in `_item`, with its place; one if there is none."""
    import ibis

    events = settled(events.mutate(_num=events["items"].length().fill_null(0)))
    too_many = events._num > ITEMS_MAX
    items = events["items"]
    none = ibis.array([ibis.null(items.type().value_type)])
    some = (events._num > 0) & ~too_many
    return settled(
        events.mutate(
            problem=events.problem.coalesce(
                too_many.ifelse(f"the event has more than {ITEMS_MAX} products", None)
            ),
            _item=some.ifelse(items, none).unnest(),
            _place=ibis.range(0, some.ifelse(events._num, 1)).unnest().cast("int64"),
            _each=_spread(events),
        )
    )


def _pieces(found: "ibis.Table") -> Any:
    import ibis

    name = found[schema.EVENT_NAME]
    # Pieces that came back are written with a minus by some.
    pieces = (name == "refund").ifelse(found._quantity.abs(), found._quantity)
    number = _files.as_whole(pieces, "int32")
    lacks = name.isin(MOVES) & found.quantity.isnull() & found[schema.ITEM].notnull()
    return lacks.ifelse(ibis.literal(1, "int32"), number)


def _spread(events: "ibis.Table") -> Any:
    """Return what a piece cost if all cost the same, where an event says only what all did."""
    import ibis

    if "value" not in events.columns:
        return ibis.null("float64")
    items = events["items"]
    counts = items.map(lambda item: _files.as_float(item.quantity).coalesce(1.0)).sums()
    priced = items.map(lambda item: item.price.notnull()).anys().fill_null(False)
    sold = (events[schema.EVENT_NAME] == "purchase") & ~priced & (counts > 0)
    none = ibis.null("float64")
    return sold.ifelse(_files.as_float(events.value) / counts.nullif(0.0), none)


def _moment(micros: Any) -> Any:
    import ibis

    # Ibis makes no times of microseconds, so the engine's own function is named.
    signature = (("int64",), "timestamp(6)")

    @ibis.udf.scalar.builtin(name="make_timestamp", signature=signature)  # type: ignore[untyped-decorator]
    def make_timestamp(micros: Any) -> Any:
        """Return a time of microseconds since 1970."""

    possible = micros.between(0, MICROS_MAX).ifelse(micros, ibis.null("int64"))
    return make_timestamp(possible).cast("timestamp('UTC', 6)")


def _event_id(made: "ibis.Table", prefix: str) -> Any:
    """Return an event's own id, or a digest of all that tells it from others, and its place."""
    import ibis

    def words(name: str) -> Any:
        value = made[name]
        if name == schema.TIME:
            # Not as text, which depends on the zone of the session.
            second, rest = value.epoch_seconds().cast("string"), value.microsecond().cast("string")
            return second.concat(".", rest).fill_null("")
        return value.cast("string").fill_null("")

    parts = [words(name) for name in _MARKED if name in made.columns]
    digest = ibis.literal(prefix).concat(ibis.literal(_SEPARATOR).join(parts).hexdigest("md5"))
    place = made._place.cast("string")
    own = (made._place > 0).ifelse(made._own.concat("-", place), made._own)
    return made.problem.isnull().ifelse(own.coalesce(digest), ibis.null("string"))
