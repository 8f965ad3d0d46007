"""Opens files of nested records, JSON or Parquet, in one known shape with every value as text.

A shape is what stands in a record: `{"name": TEXT, "items": [{"id": TEXT}]}`. What a record lacks,
or has as something else, is null; a line that is no record has a `problem` and stops nothing.
Knows nothing of what the fields mean.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shopkeeper.data.sources import _files, _text
from shopkeeper.errors import BadData, ShopkeeperError

if TYPE_CHECKING:
    import ibis

TEXT = "text"
FORMS = (".parquet", ".jsonl", ".ndjson", ".json")
UNREADABLE = "the line is cut off, is not JSON, or has no field that is read"
RECORDS_LOOKED_AT = 200
"""How many records tell which fields a file has."""
CHUNK_BYTES = 1 << 22
_GAP = re.compile(rb"\n[ \t\r]*\n")

Shape = Mapping[str, Any]


class RecordFiles:
    """A source of nested records, whose files can be loaded one by one as they come."""

    apart = True
    advice: ClassVar[str]
    """A sentence that says what to give."""
    check_settings: ClassVar[dict[str, dict[str, Any]]] = {}
    """What this source asks of the checks: nothing."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def files(self, location: Path | None) -> list[Path]:
        """Return the files that `read` would read; where there is none, that is BadData."""
        if location is None:
            _, name = self.address
            raise BadData(
                f"The source {name} reads your own files, but none was given. {self.advice}"
            )
        return _files.listed(location, FORMS)

    address = ("data.sources", "records")
    """Shelf and name."""


def open_records(
    backend: Any, paths: Sequence[Path], shape: Shape, needed: Mapping[str, Sequence[str]]
) -> "ibis.Table":
    """Open files as one table.

    Args:
        backend: An Ibis connection on DuckDB.
        paths: Parquet files, and JSON files of one record a line or of one list.
        shape: What is read of a record.
        needed: Names, one of which some record must have, by what an error calls them.

    Returns:
        The fields of `shape`, `line` numbered by `schema.LINES_PER_FILE`, and `problem`.

    Raises:
        BadData: A file is missing, empty, broken as a whole, or has none of the needed fields.
    """
    # Ibis 12 writes functions over lists with an arrow, which DuckDB 2 wants to be asked for.
    backend.raw_sql("SET lambda_syntax = 'ENABLE_SINGLE_ARROW'")
    tables = []
    for path in map(Path, paths):
        _files.usable(path)
        try:
            if _files.form(path) == ".parquet":
                rows = _parquet(backend, path, shape, needed)
            else:
                rows = _json(backend, path, shape, needed)
        except ShopkeeperError:
            raise
        except Exception as error:
            raise _text.broken(path, error) from error
        tables.append(rows)
    return _files.stacked(tables)


def _parquet(
    backend: Any, path: Path, shape: Shape, needed: Mapping[str, Sequence[str]]
) -> "ibis.Table":
    import ibis

    rows = _files.open_rows(backend, [path])
    found = _files.pick(rows, needed, path)
    plain = [name for word, name in found.items() if shape[word] == TEXT]
    _files.plain_types(rows, plain, path)
    there = {name.lower(): name for name in rows.columns}
    columns = {}
    for name, inner in shape.items():
        dtype = _dtype(inner)
        given = found.get(name) or there.get(name.lower())
        usable = given is not None and _fits(rows[given].type(), inner)
        columns[name] = rows[given].try_cast(dtype) if usable else ibis.null(dtype)
    return rows.select("line", problem=ibis.null("string"), **columns)


def _json(
    backend: Any, path: Path, shape: Shape, needed: Mapping[str, Sequence[str]]
) -> "ibis.Table":
    import ibis

    path = _text.in_utf8(backend, path, "utf-8")
    begin = _text.beginning(path, letters=10_000).lstrip()
    form = "newline_delimited"
    if begin.startswith("["):
        form = "array"
    elif begin.split("\n", 1)[0].strip() == "{":
        form = "unstructured"
    _look_at_fields(backend, path, form, needed)
    to_type = backend.compiler.type_mapper.to_string
    columns = {name: to_type(_dtype(inner)) for name, inner in shape.items()}
    rows = backend.read_json(path, columns=columns, format=form, ignore_errors=True)
    nothing = ibis.and_(*(rows[name].isnull() for name in shape))
    rows = rows.mutate(
        line=ibis.row_number() + 1,
        problem=nothing.ifelse(UNREADABLE, ibis.null("string")),
    )
    return _with_blank_lines(backend, rows, path) if form == "newline_delimited" else rows


def _look_at_fields(
    backend: Any, path: Path, form: str, needed: Mapping[str, Sequence[str]]
) -> None:
    """Raise BadData where no record has a needed field, or there is no record."""
    place = str(path).replace("'", "''")
    lax = ", ignore_errors = true" if form == "newline_delimited" else ""
    names = backend.raw_sql(
        "SELECT DISTINCT unnest(json_keys(json)) FROM (SELECT json FROM "
        f"read_json_objects('{place}', format = '{form}'{lax}) "
        f"WHERE json_type(json) = 'OBJECT' LIMIT {RECORDS_LOOKED_AT})"
    ).fetchall()
    there = sorted(name for (name,) in names)
    if not there:
        raise BadData(
            f"The file {path} holds no JSON objects with values. Give a file of one JSON object a "
            "line, or of one list of objects."
        )
    for word, others in needed.items():
        if not set(others) & set(there):
            raise BadData(
                f"The file {path} has no field '{word}'. It has: {', '.join(there)[:300]}. Give "
                "the export itself, or name the source that reads this file."
            )


def _with_blank_lines(backend: Any, rows: "ibis.Table", path: Path) -> "ibis.Table":
    """Count the blank lines too, which the engine leaves out."""
    import polars as pl

    gaps = _gaps(path)
    if not gaps:
        return rows
    file = _text.scratch(backend, ".parquet")
    pl.DataFrame(gaps, schema=["_row", "_skipped"], orient="row").write_parquet(file)
    skipped = backend.read_parquet(file)
    joined = rows.asof_join(skipped, rows.line >= skipped._row)
    line = joined.line + joined._skipped.fill_null(0)
    return joined.mutate(line=line).drop("_row", "_skipped")


def _gaps(path: Path) -> list[tuple[int, int]]:
    """Return before which rows, from 1, how many blank lines stand in all."""
    with _text.opened(path) as raw:
        tail = b"\n"
        while part := raw.read(CHUNK_BYTES):
            if _GAP.search(tail + part):
                break
            tail = part[-CHUNK_BYTES // 64 :]
        else:
            return []
    gaps: dict[int, int] = {}
    row = skipped = 0
    with _text.opened(path) as raw:
        for line in raw:
            if line.strip(b" \t\r\n"):
                row += 1
            else:
                skipped += 1
                gaps[row + 1] = skipped
    return list(gaps.items())


def _dtype(shape: Any) -> Any:
    import ibis.expr.datatypes as dt

    if isinstance(shape, Mapping):
        return dt.Struct({name: _dtype(inner) for name, inner in shape.items()})
    return dt.Array(_dtype(shape[0])) if isinstance(shape, list) else dt.string


def _fits(dtype: Any, shape: Any) -> bool:
    """Tell whether a column can be cast; the engine refuses records without a common field."""
    if isinstance(shape, Mapping):
        if not dtype.is_struct():
            return False
        both = [name for name in shape if name in dtype.names]
        return bool(both) and all(_fits(dtype[name], shape[name]) for name in both)
    if isinstance(shape, list):
        return bool(dtype.is_array()) and _fits(dtype.value_type, shape[0])
    return not dtype.is_binary()
