"""Any table that a shop exports, by a mapping of its columns to our words.

CSV, TSV, JSON lines, Excel and Parquet, text also packed; one file or many of one shape. What the
columns mean is told once by `map`; a column that has one of our words as its name needs no telling.
Knows no shop system: `shopkeeper ingest FILE --guess` proposes the mapping.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shopkeeper import schema
from shopkeeper.data.sources import _files, _money, _products, _values, _words
from shopkeeper.errors import BadData, unknown

if TYPE_CHECKING:
    import ibis

SUFFIXES = (".parquet", ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".xlsx", ".xls")

NUMBERED = {
    "events": (schema.EVENT_ID, schema.EVENTS),
    "reviews": ("review_id", schema.REVIEWS),
}
"""Tables whose rows may come without an id: its column, and what else tells rows apart."""


class Mapped:
    """Reads one table of the shop from files whose columns have names of their own."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What the columns mean and how values are written."""

        table: str = "events"
        """What a row is: events, products, reviews, shoppers or promotions."""
        map: Sequence[str] = ()
        """Their column = our word, such as ["sku=id", "name=title", "prix=price"]."""
        currency: str = ""
        """ISO 4217 code of prices that name none; empty for that of the shop."""
        encoding: str = "utf-8"
        """Encoding of text files that do not tell it by their first bytes; often `latin-1`."""
        time_zone: str = "UTC"
        """IANA zone of times that name none, such as Europe/Paris."""
        day_first: bool = False
        """Whether `12/1/2010` is the 12th of January."""
        decimal_comma: bool = False
        """Whether `1,299` is less than two and `1.299` more than a thousand."""
        price_in_minor: bool = False
        """Whether prices are in pence or cents already."""
        event_name: str = ""
        """What all rows are, such as purchase, where no column says it."""
        events: Sequence[str] = ()
        """Their names of events = ours, such as ["view=view_item"], beside the usual ones."""
        rating_max: float = 5.0
        """The best rating; ratings from 1 to this are brought to 1 to 5."""

        def __post_init__(self) -> None:
            if self.table not in _words.WORDS:
                tables = ", ".join(_words.TABLES)
                raise ValueError(f"table must be one of {tables}, but is '{self.table}'")
            _money.known(self.currency)
            _check_text(self.encoding, self.time_zone)
            if self.event_name and self.event_name not in schema.EVENT_NAMES:
                raise unknown("event", self.event_name, schema.EVENT_NAMES)
            if self.rating_max <= 1:
                raise ValueError(f"rating_max must exceed 1, but is {self.rating_max}")
            _words.pairs(self.events, "events", schema.EVENT_NAMES)
            # A wide table of shoppers may call its attributes as it likes.
            known = None if self.table == "shoppers" else _words.WORDS[self.table]
            _words.pairs(self.map, "map", known)

    apart: ClassVar[bool] = True
    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read."""
        if location is None:
            raise BadData(
                "The source mapped reads your own files, but none was given. Give a file, a folder "
                "or a pattern such as 'exports/*.csv'."
            )
        return _files.listed(location, SUFFIXES)

    def read(self, backend: Any, files: Sequence[Path]) -> "dict[str, ibis.Table]":
        """Return the table as the files have it.

        A file that is missing, empty or broken, or a mapping that names no column of it, is
        BadData.
        """
        table = self.config.table
        rows = _files.open_rows(backend, files, encoding=self.config.encoding)
        names = self._names(rows, files[0])
        if table == "shoppers" and not {"attribute", "value"} <= set(names):
            return {table: self._wide(rows, names, files[0])}
        self._complete(rows, names, files[0])
        _files.plain_types(rows, list(names.values()), files[0])
        read = {
            "events": self._events,
            "products": self._products,
        }.get(table, self._plain)
        found = read(rows, names)
        if table in NUMBERED:
            word, shape = NUMBERED[table]
            # Digests take longer than everything else, and most tables have ids.
            lacks = word not in names or _files.as_id(rows[names[word]]).isnull().any()
            if lacks is True or backend.to_polars(lacks):
                found = _numbered(found, word, shape)
        return {table: found}

    def _names(self, rows: "ibis.Table", path: Path) -> dict[str, str]:
        """Return their column for each of our words that is there."""
        told = {word: (theirs,) for theirs, word in _words.pairs(self.config.map, "map").items()}
        names = _files.pick(rows, told, path)
        there = {name.lower().replace(" ", "_"): name for name in rows.columns}
        for word in _words.WORDS[self.config.table]:
            same = there.get(word)
            if word not in names and same is not None and same not in names.values():
                names[word] = same
        return names

    def _complete(self, rows: "ibis.Table", names: dict[str, str], path: Path) -> None:
        lacks = _words.lacking(self.config.table, names, named=bool(self.config.event_name))
        if lacks:
            others = [name for name in rows.columns if name not in ("line", "problem")]
            raise BadData(
                f"No column of {path} is known to be {' or '.join(lacks)}. It has: "
                f"{', '.join(others)[:300]}. Add it to map, as in '{others[0]}={lacks[0]}', or try "
                "`shopkeeper ingest FILE --guess`."
            )

    def _plain(self, rows: "ibis.Table", names: dict[str, str]) -> "ibis.Table":
        """Read every word; what cannot be read stands in `raw_`."""
        import ibis

        kinds = _words.WORDS[self.config.table]
        told = {word: rows[theirs] for word, theirs in names.items()}
        rows = self._prepared(rows.select("line", "problem", **told), kinds)
        read = {
            _words.column(word, self.config.table): self._value(rows, word, kinds[word])
            for word in names
            if word != schema.CURRENCY
        }
        if schema.CURRENCY in kinds:
            read[schema.CURRENCY] = rows._currency
        unsure = [word for word in names if kinds[word] not in ("id", "text")]
        rows = _values.once(
            rows.select(
                "line",
                "problem",
                **read,
                **{f"_came_{word}": rows[word] for word in unsure},
                _chance=ibis.random(),
            )
        )
        raw = {
            f"raw_{word}": rows[_words.column(word, self.config.table)]
            .isnull()
            .ifelse(rows[f"_came_{word}"].cast("string").strip().nullif(""), None)
            for word in unsure
        }
        return rows.select("line", "problem", *read, **raw)

    def _prepared(self, rows: "ibis.Table", kinds: dict[str, str]) -> "ibis.Table":
        """Add what several words rest on: numbers, the currency, our names of events."""
        words = [word for word in kinds if word in rows.columns]
        amounts = [word for word in words if kinds[word] in ("money", "whole", "rating")]
        rows = _values.with_numbers(rows, amounts, decimal_comma=self.config.decimal_comma)
        if schema.CURRENCY in kinds:
            money = [word for word in words if kinds[word] == "money"]
            rows = _values.once(rows, _currency=self._currency(rows, money))
            rows = _values.once(rows, _factor=_money.factor(rows._currency).fill_null(100))
        if schema.EVENT_NAME in words:
            own = _words.pairs(self.config.events, "events")
            rows = _words.with_events(rows, schema.EVENT_NAME, own)
        return rows

    def _value(self, rows: "ibis.Table", word: str, kind: str) -> Any:
        value = rows[word]
        if kind in ("money", "whole", "rating"):
            return self._number(rows, word, kind)
        if kind == "event":
            return rows._event
        if kind == "availability":
            return _words.as_availability(value)
        if kind == "time":
            zone = self.config.time_zone
            return _values.moment(value, zone, day_first=self.config.day_first)
        return _files.as_id(value) if kind == "id" else value.cast("string").strip().nullif("")

    def _number(self, rows: "ibis.Table", word: str, kind: str) -> Any:
        number, best = rows[f"_number_{word}"], self.config.rating_max
        if kind == "whole":
            return _files.as_whole(number, "int32")
        if kind == "rating":
            scaled = 1 + (number - 1) * (4 / (best - 1))
            return number.between(1, best).ifelse(scaled, None).cast("float32")
        if word.endswith("_minor") or self.config.price_in_minor:
            return _files.as_whole(number)
        return _files.as_minor(number * rows._factor, 0)

    def _currency(self, rows: "ibis.Table", money: list[str]) -> Any:
        """Return what a column, or else the first price, says, or the one of the settings."""
        import ibis

        said: Any = ibis.literal(self.config.currency or None, "string")
        texts = [word for word in money if rows[word].type().is_string()]
        for word in (*texts[:1], *([schema.CURRENCY] if schema.CURRENCY in rows.columns else [])):
            # A plain number names no currency, and looking for one is slow.
            text = rows[word].cast("string")
            some = text.re_search(r"[^\d.,\s-]").fill_null(False)
            said = some.ifelse(_money.code(text, said), said)
        return said

    def _events(self, rows: "ibis.Table", names: dict[str, str]) -> "ibis.Table":
        import ibis

        read = self._plain(rows, names)
        if schema.EVENT_NAME not in read.columns:
            read = read.mutate(event_name=ibis.literal(self.config.event_name))
        return read

    def _products(self, rows: "ibis.Table", names: dict[str, str]) -> "ibis.Table":
        taken = {"line", "problem", *names.values()}
        rest = [name for name in rows.columns if name not in taken and _is_plain(rows[name])]
        if rest and "attributes" not in names:
            pairs = [(name, rows[name].cast("string")) for name in rest]
            rows = rows.mutate(_rest=_products.as_object(pairs))
            names = names | {"attributes": "_rest"}
        return self._plain(rows, names)

    def _wide(self, rows: "ibis.Table", names: dict[str, str], path: Path) -> "ibis.Table":
        """Turn a column an attribute into a row an attribute; `line` counts attributes."""
        import ibis

        names = dict(names)
        if schema.USER not in names:
            self._complete(rows, names, path)
        user = names.pop(schema.USER)
        known = {theirs: word for word, theirs in names.items()}
        others = [name for name in rows.columns if name not in ("line", "problem", user)]
        _files.plain_types(rows, [user, *others], path)
        if not others:
            raise BadData(f"The file {path} has no column beside '{user}'. Give attributes.")
        pairs = [
            ibis.struct(
                {
                    "place": ibis.literal(place, "int64"),
                    "attribute": known.get(name, name),
                    "value": rows[name].cast("string").strip().nullif(""),
                }
            )
            for place, name in enumerate(others, start=1)
        ]
        size = schema.LINES_PER_FILE
        long = rows.select(
            "line", "problem", user_id=_files.as_id(rows[user]), _pair=ibis.array(pairs)
        ).unnest("_pair")
        long = long.unpack("_pair")
        long = long.filter(long.value.notnull() | (long.problem.notnull() & (long.place == 1)))
        return long.select(
            "problem", "user_id", "attribute", "value",
            line=long.line // size * size + (long.line % size - 1) * len(others) + long.place,
        )  # fmt: skip


def _is_plain(value: Any) -> bool:
    return not (value.type().is_nested() or value.type().is_binary())


def _numbered(rows: "ibis.Table", word: str, shape: Any) -> "ibis.Table":
    """Give rows without an id one that is the same in every load of the same rows.

    It is a digest of what the row says, and of rows that say the same the second has `-2`.
    """
    import ibis

    lacks = rows[word].isnull() if word in rows.columns else ibis.literal(True)
    said = [rows[name] for name in shape if name in rows.columns and name != word]
    rows = rows.mutate(_digest=lacks.ifelse(_values.digest(said), None))
    alone = rows.filter(rows._digest.notnull())
    # Few rows say the same, and to number all of them is slow.
    counts = alone.group_by("_digest").agg(_rows=alone.count()).filter(lambda each: each._rows > 1)
    same = alone.semi_join(counts, "_digest").select("line", "_digest")
    place = ibis.row_number().over(ibis.window(group_by="_digest", order_by="line"))
    rows = rows.left_join(same.select("line", _again=place), "line").drop("line_right")
    suffix = ibis.literal("-").concat((rows._again + 1).cast("string"))
    suffix = (rows._again > 0).fill_null(False).ifelse(suffix, "")
    made = ibis.literal("row-").concat(rows._digest, suffix)
    given = rows[word].coalesce(made) if word in rows.columns else made
    return rows.mutate(**{word: given}).drop("_digest", "_again")


def _check_text(encoding: str, zone: str) -> None:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ValueError(f"encoding must be one such as utf-8, but is '{encoding}'") from error
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"time_zone must be one such as Europe/Paris, but is '{zone}'") from error
