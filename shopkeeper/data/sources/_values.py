"""Reads numbers, times and truths as people and tables of many countries write them.

What cannot be read is null, never a guess. An hour that a clock shows twice in autumn is taken as
the later one, an hour that it leaves out in spring as the one after. Knows no column by name.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from shopkeeper.data.sources import _files

if TYPE_CHECKING:
    import ibis

_GAPS = r"[\s'\x{2019}\x{a0}\x{202f}\x{2009}]"
_AMOUNT = r"\d(?:[\d.,]*\d)?"
_SEVERAL = r"\d[\s'\x{2019}\x{a0}\x{202f}\x{2009}]+(\d{1,2}(\D|$)|\d{4})"
_NO_AMOUNT = r"\d[^\d.,]+\d|^[^\d\pL]*[.,]\d"
_MINUS = r"^[^\d(]*[-\x{2212}][^\d\s]?\d|^\D*\("
_POINT, _COMMA = r"^\d*\.?\d*$", r"^\d*,\d*$"
_COMMAS = r"^[1-9]\d{0,2}(,\d{2,3})*,\d{3}(\.\d+)?$"
_POINTS = r"^[1-9]\d{0,2}(\.\d{3})+(,\d+)?$"
_ZONED = r"(?i)\d{1,2}:\d{2}.*(z|utc|gmt|[+-]\d{2}(:?\d{2})?|[a-z]+/[a-z_/]+)$"
_WRITTEN = (
    "%-m/%-d/%Y %H:%M:%S", "%-m/%-d/%Y %H:%M", "%-m/%-d/%Y %I:%M:%S %p", "%-m/%-d/%Y %I:%M %p",
    "%-m/%-d/%Y", "%-m-%-d-%Y %H:%M:%S", "%-m-%-d-%Y %H:%M", "%-m-%-d-%Y",
)  # fmt: skip
_ELSEWHERE = (
    "%-d.%-m.%Y %H:%M:%S", "%-d.%-m.%Y %H:%M", "%-d.%-m.%Y", "%Y.%-m.%-d", "%Y%m%d",
    "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%-d %b %Y %H:%M:%S", "%-d %b %Y", "%b %-d, %Y",
    "%-d %B %Y", "%B %-d, %Y", "%Y年%-m月%-d日 %H:%M:%S", "%Y年%-m月%-d日",
)  # fmt: skip


def once(rows: "ibis.Table", **columns: Any) -> "ibis.Table":
    """Add columns that are worked out once, however often they are used afterwards.

    Ibis would write the expression wherever its column is named; it leaves a table alone that has
    a number by chance in it, which the engine then leaves out.
    """
    import ibis

    return rows.mutate(**columns, _chance=ibis.random())


def with_numbers(
    rows: "ibis.Table", names: Sequence[str], *, decimal_comma: bool = False
) -> "ibis.Table":
    """Read amounts: `19.99`, `£1,299.00`, `1.299,00 €`, `1 299,50 kr`; null where there is none.

    Args:
        rows: A table.
        names: Its columns to be read, of text or numbers.
        decimal_comma: What `1,299` and `1.299` mean, which say nothing by themselves: with it
            1.299 and 1299, without it 1299 and 1.299.

    Returns:
        The table with a floating number for each of them in `_number_...`.
    """
    import ibis

    words = [name for name in names if rows[name].type().is_string()]
    others = [name for name in names if name not in words]
    rows = rows.mutate(**{f"_number_{name}": _files.as_float(rows[name]) for name in others})
    if not words:
        return rows
    # Most tables write plain numbers, and patterns are slow: only what is none comes to them.
    rows = once(rows, **{f"_plain_{name}": _plain(rows[name], decimal_comma) for name in words})
    tight = {
        f"_tight_{name}": rows[f"_plain_{name}"]
        .isnull()
        .ifelse(rows[name], ibis.null("string"))
        .re_replace(_GAPS, "")
        for name in words
    }
    rows = once(rows, **tight)
    rows = once(rows, **{f"_digits_{name}": _digits(rows, name) for name in words})
    rows = once(
        rows,
        **{f"_amount_{name}": _amount(rows[f"_digits_{name}"], decimal_comma) for name in words},
    )
    for name in words:
        amount = rows[f"_amount_{name}"]
        signed = rows[f"_tight_{name}"].re_search(_MINUS).ifelse(-amount, amount)
        rows = rows.mutate(**{f"_number_{name}": rows[f"_plain_{name}"].coalesce(signed)})
    return rows.drop(
        *(f"_{step}_{name}" for step in ("plain", "tight", "digits", "amount") for name in words)
    )


def _plain(text: Any, decimal_comma: bool) -> Any:
    """Read a number as programs write it, or with a comma for its point."""
    if not decimal_comma:
        return _files.as_float(text)
    return text.contains(".").ifelse(None, _files.as_float(text.replace(",", ".")))


def _digits(rows: "ibis.Table", name: str) -> Any:
    """Return the one number that a text has, with its points and commas; null where not one."""
    import ibis

    tight = rows[f"_tight_{name}"]
    none = tight.re_search(_NO_AMOUNT) | rows[name].re_search(_SEVERAL)
    return none.ifelse(ibis.null("string"), tight.re_extract(_AMOUNT, 0))


def _amount(digits: Any, decimal_comma: bool) -> Any:
    import ibis

    point, comma = (digits.re_search(pattern) for pattern in (_POINT, _COMMA))
    commas, points = (digits.re_search(pattern) for pattern in (_COMMAS, _POINTS))
    american = (point | commas, digits.replace(",", ""))
    european = (comma | points, digits.replace(".", "").replace(",", "."))
    ways = (european, american) if decimal_comma else (american, european)
    return _files.as_float(ibis.cases(*ways, else_=ibis.null("string")))


def moment(value: Any, zone: str = "UTC", *, day_first: bool = False) -> Any:
    """Read a time as UTC: a timestamp, ISO 8601, seconds since 1970 or parts of them, `12/1/2010`.

    Args:
        value: A column of times, numbers or text.
        zone: The IANA zone of times that name none.
        day_first: Whether `12/1/2010` is the 12th of January.

    Returns:
        Timestamps in UTC, in microseconds.
    """
    dtype = value.type()
    if dtype.is_timestamp() and dtype.timezone:
        return value.cast("timestamp('UTC', 6)")
    if dtype.is_temporal():
        return _at(value.cast("timestamp(6)"), zone)
    if dtype.is_numeric():
        return _counted(value.cast("float64"), value.try_cast("int64"), zone)
    if not dtype.is_string():
        value = value.cast("string")
    text = value.strip()
    # "+0200" behind a space is no part of a time for the engine.
    zoned = text.re_replace(r"\s+([+-]\d{2}:?\d{0,2})$", r"\1").try_cast("timestamp('UTC', 6)")
    plain = text.try_cast("timestamp(6)")
    iso = zoned if zone == "UTC" else text.re_search(_ZONED).ifelse(zoned, _at(plain, zone))
    written = [_swapped(form) if day_first else form for form in _WRITTEN]
    local = _functions()["try_strptime"](text, _array([*written, *_ELSEWHERE]))
    numbers = text.re_search(r"^\d{9,13}(\.\d+)?$|^\d{16,19}$")
    counted = text.try_cast("float64")
    return iso.coalesce(
        _at(local.cast("timestamp(6)"), zone),
        numbers.ifelse(_counted(counted, text.try_cast("int64"), zone), None),
    )


def _counted(number: Any, whole: Any, zone: str) -> Any:
    """Read seconds, ms, us or ns since 1970, told apart by their size, or a day as 20101201."""
    import ibis

    size = number.abs()
    micros = ibis.cases(
        (size < 1e11, _files.as_whole(number * 1e6)),
        (size < 1e14, _files.as_whole(number * 1e3)),
        (size < 1e17, whole),
        else_=whole // 1000,
    )
    day = whole.between(19000101, 21001231)
    text = day.ifelse(whole, None).cast("string")
    days = _functions()["try_strptime"](text, _array(["%Y%m%d"])).cast("timestamp(6)")
    since = _functions()["make_timestamptz"](day.ifelse(None, micros))
    return _at(days, zone).coalesce(since.cast("timestamp('UTC', 6)"))


def _at(local: Any, zone: str) -> Any:
    """Take times without a zone as those on the clocks of `zone`."""
    if zone == "UTC":
        return local.cast("timestamp('UTC', 6)")
    return _functions()["timezone"](zone, local)


def _swapped(form: str) -> str:
    month, day = "%-m", "%-d"
    return form.replace(month, "?").replace(day, month).replace("?", day)


def _array(values: list[str]) -> Any:
    import ibis

    return ibis.literal(values, "array<string>")


def digest(values: list[Any]) -> Any:
    """Return a short text that is the same where all values are, whatever engine or version."""
    import ibis

    parts: list[Any] = []
    for value in values:
        if value.type().is_timestamp():
            # Not as text, which depends on the zone of the session.
            parts += [value.epoch_seconds(), value.microsecond()]
        else:
            parts.append(value)
    texts = [part.cast("string").fill_null("\x1e") for part in parts]
    return ibis.literal("\x1f").join(texts).hexdigest("md5")


@cache
def _functions() -> dict[str, Any]:
    """Return functions of the engine that Ibis has no word for."""
    import ibis

    def declared(name: str, kinds: tuple[str, ...], gives: str) -> Any:
        signature = (kinds, gives)
        shape: Any = (lambda _one, _two: None) if len(kinds) == 2 else (lambda _one: None)
        return ibis.udf.scalar.builtin(shape, name=name, signature=signature)

    utc, local = "timestamp('UTC', 6)", "timestamp(6)"
    return {
        "timezone": declared("timezone", ("string", local), utc),
        "try_strptime": declared("try_strptime", ("string", "array<string>"), local),
        "make_timestamptz": declared("make_timestamptz", ("int64",), utc),
    }
