"""Opens CSV files as Ibis tables; a row that is bad says why.

A file whose every row is sound is read by the query engine where it lies. One that holds a bad
row is copied row by row first, which is slower: there a quote that nobody closes costs its own
row and not all that follow. Knows nothing of what the columns mean.
"""

import csv
import gzip
import io
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from shopkeeper.data.sources import _text
from shopkeeper.data.sources._text import HEAD_MAX
from shopkeeper.errors import BadData

if TYPE_CHECKING:
    import ibis

LINE_MAX = 2_000_000
"""A row with more letters is a bad row."""
DELIMITERS = (",", ";", "\t", "|")
LONG = "the row is longer than 2,000,000 letters"
QUOTE = "a quote in the row does not close, or text follows it"
FEWER = "the row has fewer values than the file has columns"
MORE = "the row has more values than the file has columns"
BYTES = "the row is not text in the encoding of the file"
_BATCH = 20_000


@dataclass(frozen=True)
class Head:
    """How a CSV file is written, and its first rows."""

    delimiter: str
    escape: str
    """What stands before a quote within quotes: a second quote, or a backslash."""
    names: tuple[str, ...]
    """Names of the columns, each once whatever its case."""
    rows: tuple[tuple[str, ...], ...]
    """Sound rows that follow."""


def head_of(path: Path, encoding: str = "utf-8") -> Head:
    """Look at the beginning of a CSV file.

    Args:
        path: The file.
        encoding: Its encoding.

    Returns:
        How it is written. What stands between values is what splits the first rows alike.

    Raises:
        BadData: It is not text in that encoding, or its first line is no head of a table.
    """
    text = _text.beginning(path, encoding)
    first = text.partition("\n")[0]
    if not _sound(first) or "\0" in first:
        raise BadData(
            f"The head of {path} is not text in {encoding}. Set encoding, such as latin-1, or "
            "export the file again as UTF-8."
        )
    escape = "\\" if '\\"' in text and '""' not in text else '"'
    whole = text.rpartition("\n")[0] if len(text) >= HEAD_MAX else text
    found = []
    for delimiter in DELIMITERS:
        lines = io.StringIO(whole)
        records = itertools.islice(_records(_lines(lines), 0, delimiter, escape), 200)
        rows = [tuple(fields) for fields, _ in records if fields is not None]
        if rows:
            alike = sum(len(row) == len(rows[0]) for row in rows)
            found.append((len(rows[0]) > 1, alike / len(rows), len(rows[0]), delimiter, rows))
    if not found or (len(text) >= HEAD_MAX and not whole):
        raise BadData(f"The first line of {path} names no columns. Give a file with a head.")
    *_, delimiter, rows = max(found, key=lambda each: each[:3])
    head, *others = rows
    same = tuple(row for row in others if len(row) == len(head))
    return Head(delimiter, escape, _text.unique(list(head), path), same)


def open_csv(backend: Any, path: Path, encoding: str = "utf-8") -> "ibis.Table":
    """Open a CSV file; all columns are text.

    Args:
        backend: An Ibis connection on DuckDB.
        path: The file, with a head; `,`, `;`, tab or `|` between values.
        encoding: Its encoding.

    Returns:
        All rows with `line` from 1, and `problem` where a row is bad.

    Raises:
        BadData: There are no rows, or most of them are bad.
    """
    import ibis

    path = _text.in_utf8(backend, path, encoding)
    head = head_of(path)
    rows = backend.read_csv(
        path,
        columns=dict.fromkeys(head.names, "VARCHAR"),
        auto_detect=False,
        header=True,
        delim=head.delimiter,
        quote='"',
        escape=head.escape,
        max_line_size=LINE_MAX,
    )
    try:
        # All columns, for only a value that is looked at is tested for its encoding.
        (counts,) = backend.raw_sql(
            f"SELECT count(*), count(COLUMNS(*)) FROM {rows.get_name()}"
        ).fetchall()
    except Exception as error:
        if "CSV" not in str(error):
            raise
        return _mended(backend, path, head)
    if not counts[0] and head.rows:
        # The engine takes another line for the head than we do.
        return _mended(backend, path, head)
    if not max(counts[1:]) and not head.rows:
        raise BadData(f"The file {path} has columns but no rows. Export or download it again.")
    return rows.mutate(line=ibis.row_number() + 1, problem=ibis.null("string"))


def _mended(backend: Any, path: Path, head: Head) -> "ibis.Table":
    """Copy a CSV that has bad rows into Parquet, and open that."""
    import pyarrow as pa
    from pyarrow import parquet

    copy = _text.scratch(backend, ".parquet")
    kinds = [pa.field(name, pa.string()) for name in head.names]
    shape = pa.schema([*kinds, pa.field("line", pa.int64()), pa.field("problem", pa.string())])
    width, line, bad, first = len(head.names), 0, 0, ""
    rows_max = max(1, _BATCH // (1 + width // 20))
    try:
        with _text.as_text(path, "utf-8") as text, parquet.ParquetWriter(copy, shape) as writer:
            records = _records(_lines(text), width, head.delimiter, head.escape)
            next(records, None)
            while batch := list(itertools.islice(records, rows_max)):
                problems = [problem or None for _, problem in batch]
                lines = range(line + 1, line + len(batch) + 1)
                worst = [
                    f"row {at}: {said}" for at, said in zip(lines, problems, strict=True) if said
                ]
                first = first or next(iter(worst), "")
                line, bad = line + len(batch), bad + len(worst)
                writer.write_table(
                    pa.table([*_columns(batch, width), list(lines), problems], schema=shape)
                )
    except (EOFError, gzip.BadGzipFile) as error:
        raise _text.broken(path, error) from error
    if not line:
        raise BadData(f"The file {path} has columns but no rows. Export or download it again.")
    _text.mostly_sound(path, line, bad, first)
    return backend.read_parquet(copy)


def _columns(batch: list[tuple[list[str] | None, str]], width: int) -> list[list[str | None]]:
    """Turn rows into columns; an empty value and all of a bad row are null."""
    rows = [fields if fields is not None else [""] * width for fields, _ in batch]
    return [[value or None for value in column] for column in zip(*rows, strict=True)]


def _lines(text: IO[str]) -> Iterator[str]:
    """Yield lines; one that is too long is cut just past `LINE_MAX`."""
    while line := text.readline(LINE_MAX + 1):
        rest = line
        while len(rest) > LINE_MAX and not rest.endswith("\n"):
            rest = text.readline(LINE_MAX + 1)
        yield line


def _records(
    lines: Iterator[str], width: int, delimiter: str, escape: str
) -> Iterator[tuple[list[str] | None, str]]:
    """Yield the values of each row, or None and what is wrong with it.

    A row goes on over lines until its quotes close. If they never do, or what they enclose makes
    no row, its first line alone is bad and the next line begins a row. `width` 0 takes any.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LINE_MAX))
    waiting: deque[str] = deque()
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        if line in ("\n", "\r\n"):
            continue
        taken, size, open_quote = [line], len(line), _odd(line, escape)
        while open_quote and size <= LINE_MAX:
            more = waiting.popleft() if waiting else next(lines, None)
            if more is None:
                break
            taken.append(more)
            size, open_quote = size + len(more), open_quote ^ _odd(more, escape)
        fields, problem = _parsed(taken, width, delimiter, escape)
        if fields is None:
            waiting.extendleft(reversed(taken[1:]))
        yield fields, problem


def _odd(line: str, escape: str) -> bool:
    if '"' not in line:
        return False
    return (line.count('"') - (line.count('\\"') if escape == "\\" else 0)) % 2 == 1


def _parsed(
    taken: list[str], width: int, delimiter: str, escape: str
) -> tuple[list[str] | None, str]:
    """Split the lines of one row, or say what is wrong with it."""
    if len(taken[0]) > LINE_MAX:
        return None, LONG
    text = "".join(taken).removesuffix("\n")
    if not _sound(text):
        return None, BYTES
    if '"' not in text:
        fields = text.split(delimiter)
    else:
        doubled = escape == '"'
        try:
            (fields,) = csv.reader(
                [text],
                delimiter=delimiter,
                doublequote=doubled,
                escapechar=None if doubled else escape,
                strict=True,
            )
        except (csv.Error, ValueError):
            return None, QUOTE
    if width and len(fields) != width:
        return None, FEWER if len(fields) < width else MORE
    return fields, ""


def _sound(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
