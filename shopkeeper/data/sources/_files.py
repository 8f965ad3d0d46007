"""Opens files of rows as an Ibis table, with `line` numbers, or says what is wrong with them."""

import difflib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper.data.sources import _csv, _packing, _text
from shopkeeper.errors import BadData, Missing, ShopkeeperError
from shopkeeper.schema import LINES_PER_FILE

if TYPE_CHECKING:
    import ibis
    import polars as pl

JSON_FORMS = (".jsonl", ".ndjson", ".json")
TEXT_FORMS = (".csv", ".tsv", ".txt", *JSON_FORMS)
_steps = count()


def listed(location: Path, suffixes: Sequence[str]) -> list[Path]:
    """List the files of a file, a folder or a pattern, by name.

    Args:
        location: What a person gave; a folder is looked through, folders within it too.
        suffixes: Endings that count in a folder, such as `.csv`, also with `.gz` behind.

    Returns:
        At least one file, each by its whole path.

    Raises:
        BadData: There is none.
    """
    path = Path(location)
    if path.is_dir():
        ends = tuple(suffix + zipped for suffix in suffixes for zipped in ("", ".gz"))
        found = [file for file in path.rglob("*") if file.name.lower().endswith(ends)]
        found = [file for file in found if file.is_file() and not file.name.startswith((".", "_"))]
        if not found:
            raise BadData(
                f"The folder {path} has no file that ends in {' or '.join(suffixes)}. Give the "
                "folder that your export was written to."
            )
    elif path.is_file() or not any(letter in path.name for letter in "*?["):
        found = [path]
    else:
        found = [file for file in path.parent.glob(path.name) if file.is_file()]
        if not found:
            raise BadData(f"No file is called like {path}. Check the pattern.")
    return sorted(found)


def usable(path: Path) -> None:
    """Raise BadData where a file is not there, empty, or packed beyond all measure."""
    if not path.is_file():
        raise BadData(f"There is no file {path}. Check the path.")
    if path.stat().st_size == 0:
        raise BadData(f"The file {path} is empty (0 bytes). Export or download it again.")
    _packing.refuse_bombs(path)


def open_rows(backend: Any, paths: Sequence[Path], *, encoding: str = "utf-8") -> "ibis.Table":
    """Open Parquet, CSV, JSON lines or workbooks as one table; columns of text files are text.

    Args:
        backend: An Ibis connection on DuckDB.
        paths: The files; columns are put together by name.
        encoding: That of CSV files that do not tell it by their first bytes.

    Returns:
        All rows, `line` numbered by `schema.LINES_PER_FILE`, with a `problem` where a row of a
        text file is bad and null elsewhere; a source hands it on. A file that is missing, empty,
        half-written, broken, mostly bad or of another kind is BadData; a workbook without a
        reader for workbooks is Missing.
    """
    tables = [_open(backend, path, encoding) for path in paths]
    return stacked([rows.mutate(line=rows.line.cast("int64")) for rows in tables])


def settled(rows: "ibis.Table") -> "ibis.Table":
    """Return the same rows as a step of their own.

    Ibis would write an expression out anew wherever a later one uses it, a thousand times for a
    price.
    """
    from ibis.expr.operations import SQLStringView

    name = f"step_{next(_steps)}"
    # As `Table.sql` does, which asks the engine for types by a method that it has no more.
    step = SQLStringView(rows.alias(name).op(), f"SELECT * FROM {name}", rows.schema())
    return step.to_expr()


def stacked(tables: "Sequence[ibis.Table]") -> "ibis.Table":
    """Put the tables of several files, each with `line` from 1, in one by column names."""
    import ibis

    if len(tables) == 1:
        return tables[0]
    types: dict[str, Any] = {}
    for rows in tables:
        for name, dtype in rows.schema().items():
            types[name] = dtype if types.get(name, dtype) == dtype else ibis.dtype("string")
    parts = [
        rows.select(
            **{
                name: (rows[name] if name in rows.columns else ibis.null()).cast(dtype)
                for name, dtype in types.items()
                if name != "line"
            },
            line=rows.line + place * LINES_PER_FILE,
        )
        for place, rows in enumerate(tables)
    ]
    return ibis.union(*parts)


def form(path: Path) -> str:
    """Return the ending of a file's name, `.gz` aside, such as `.csv`."""
    name = path.name.lower()
    return Path(name if name.endswith(".parquet.gz") else name.removesuffix(".gz")).suffix


def _open(backend: Any, path: Path, encoding: str) -> "ibis.Table":
    path = Path(path)
    usable(path)
    kind = form(path)
    if kind in (".xlsx", ".xls"):
        return _workbook(path)
    if kind not in (".parquet", *TEXT_FORMS):
        raise BadData(
            f"The file {path} ends in '{kind}'. Give a .parquet, .csv, .tsv, .jsonl or .xlsx file; "
            "text may be packed as .gz."
        )
    try:
        if kind == ".parquet":
            return _parquet(backend, path)
        if kind in JSON_FORMS:
            return _text.open_json(backend, path)
        return _csv.open_csv(backend, path, encoding)
    except ShopkeeperError:
        raise
    except Exception as error:
        raise _text.broken(path, error) from error


def _parquet(backend: Any, path: Path) -> "ibis.Table":
    import ibis

    rows = backend.read_parquet(path, file_row_number=True)
    if len(rows.columns) > _text.COLUMNS_MAX:
        _text.unique(list(rows.columns), path)
    rows = rows.mutate(line=rows.file_row_number + 1, problem=ibis.null("string"))
    # Straight from the engine: Ibis would load Pandas first to hand one row over.
    if not backend.raw_sql(backend.compile(rows.head(1))).fetchall():
        raise BadData(f"The file {path} has columns but no rows. Export or download it again.")
    return rows.drop("file_row_number")


def _workbook(path: Path) -> "ibis.Table":
    import ibis
    import polars as pl

    rows = workbook(path)
    names = dict(zip(rows.columns, _text.unique(rows.columns, path), strict=True))
    rows = rows.rename(names).with_columns(problem=pl.lit(None, pl.String))
    return ibis.memtable(rows.with_row_index("line", offset=1))


def workbook(path: Path) -> "pl.DataFrame":
    """Read the first sheet of a workbook; one that cannot be read is BadData."""
    import polars as pl

    engine = next((name for name in ("fastexcel", "openpyxl") if find_spec(name)), None)
    if engine is None:
        raise Missing(
            f"Reading {path.name} needs `pip install fastexcel`. Or open the workbook, save it as "
            "CSV, and give that file."
        )
    reader: Any = {"fastexcel": "calamine"}.get(engine, engine)
    try:
        rows = pl.read_excel(path, engine=reader)
    except Exception as error:
        raise BadData(f"The workbook {path} cannot be read: {error}. Save it as CSV.") from error
    if rows.is_empty():
        raise BadData(f"The workbook {path} has no rows. Export or download it again.")
    return rows


def pick(rows: "ibis.Table", wanted: Mapping[str, Sequence[str]], path: Path) -> dict[str, str]:
    """Find each wanted column under one of its names, whatever its case, spaces and underscores.

    Args:
        rows: The table as it came.
        wanted: Names that each column may have, the official one first, by our word for it.
        path: What the error calls the table.

    Returns:
        The name in `rows` for each word of `wanted`.

    Raises:
        BadData: A column is not there; the nearest that is there is named.
    """
    there = {_plain(name): name for name in rows.columns}
    found: dict[str, str] = {}
    for word, names in wanted.items():
        hits = [there[_plain(name)] for name in names if _plain(name) in there]
        if not hits:
            near = difflib.get_close_matches(_plain(names[0]), there, n=1)
            hint = f" Is it '{there[near[0]]}'?" if near else ""
            others = [name for name in rows.columns if name not in ("line", "problem")]
            raise BadData(
                f"The file {path} has no column '{names[0]}'.{hint} It has: "
                f"{', '.join(others)[:300]}. Rename the column to '{names[0]}'."
            )
        found[word] = hits[0]
    return found


def plain_types(rows: "ibis.Table", columns: Sequence[str], path: Path) -> None:
    """Raise BadData where a column holds lists, records or bytes instead of plain values."""
    for name in columns:
        dtype = rows[name].type()
        if dtype.is_nested() or dtype.is_binary():
            raise BadData(
                f"Column '{name}' of {path} holds {dtype}, not text, numbers or times. "
                "Export it as plain values."
            )


def as_float(value: Any) -> Any:
    """Read a number, or null where there is none."""
    return value.try_cast("float64")


def as_whole(number: Any, dtype: str = "int64") -> Any:
    """Round a number to a whole one; null where it is not a number or too large.

    By hand, for `round` casts without asking, and the engine trusts Parquet statistics, which
    leave NaN out, over any test for NaN.
    """
    half_up = number.abs() + 0.5
    whole = half_up - half_up % 1
    return (number < 0).ifelse(-whole, whole).try_cast(dtype)


def as_id(value: Any) -> Any:
    """Read an id as text; `17850.0` is 17850, and blanks are null."""
    import ibis

    if value.type().is_integer():
        return value.cast("string")
    said = value.cast("string")
    # Nearly all ids are plain; one pattern that says so is faster than what the others need.
    text = said.strip()
    text = text.re_replace(r"^(\d+)\.0+$", r"\1")
    if value.type().is_floating():
        whole = value.try_cast("int64")
        text = (whole == value).ifelse(whole.cast("string"), text)
    blank = text.re_search(r"(?i)^(nan|none|null|na)?$")
    text = blank.ifelse(ibis.null("string"), text)
    unusual = r"(?i)[\s\v]|^(nan|none|null|na)?$|^\d+\.0+$"
    if value.type().is_string():
        return said.re_search(unusual).ifelse(text, said)
    return text


def as_minor(total: Any, exponent: int = 2) -> Any:
    """Turn money into minor units; what is above nothing stays at least 1."""
    import ibis

    minor = as_whole(total * 10**exponent)
    return ((total > 0) & (minor == 0)).ifelse(ibis.literal(1, "int64"), minor)


def as_time(value: Any, *, day_first: bool = False) -> Any:
    """Read a timestamp, ISO text, or `12/1/2010 8:26`, as UTC unless it says its offset; else null.

    Text is read in the zone of the engine's connection, which the lake sets to UTC.
    """
    if value.type().is_temporal():
        return value.cast("timestamp(6)").cast("timestamp('UTC', 6)")
    text = value.cast("string").strip()
    pattern = r"^(\d{1,2})/(\d{1,2})/(\d{4})\s+(\d{1,2}):(\d{2})"
    month, day = (2, 1) if day_first else (1, 2)

    def part(group: int) -> Any:
        return text.re_extract(pattern, group)

    slashed = (
        part(3)
        + "-"
        + part(month).lpad(2, "0")
        + "-"
        + part(day).lpad(2, "0")
        + " "
        + part(4).lpad(2, "0")
        + ":"
        + part(5)
        + ":00"
    )
    iso = text.re_search(pattern).ifelse(slashed, text)
    return iso.try_cast("timestamp('UTC', 6)")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
