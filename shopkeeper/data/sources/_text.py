"""Opens text files whatever their encoding and packing, and JSON lines as an Ibis table.

Knows nothing of what the columns mean.
"""

import codecs
import gzip
import io
import tempfile
import time
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from shopkeeper.errors import BadConfig, BadData

if TYPE_CHECKING:
    import ibis

COLUMNS_MAX = 1_000
"""A table with more columns is refused: it is turned on its side, or no table."""
HEAD_MAX = 1_000_000
"""How many letters are looked at to learn what a file is."""
NO_OBJECT = "the line is not a JSON object with values"
_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def opened(path: Path) -> IO[bytes]:
    """Open a file for reading bytes, unpacked where its name ends in `.gz`."""
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def beginning(path: Path, encoding: str = "utf-8", letters: int = HEAD_MAX) -> str:
    """Return the first letters of a text file.

    Args:
        path: The file, perhaps ending in `.gz`.
        encoding: Its encoding, unless the file itself says another by its first bytes.
        letters: How many.

    Returns:
        At most so many letters; what is not text in that encoding stands as lone surrogates.

    Raises:
        BadData: The file cannot be unpacked.
    """
    try:
        with as_text(path, encoding_of(path, encoding)) as text:
            return text.read(letters)
    except (EOFError, gzip.BadGzipFile, UnicodeError) as error:
        raise broken(path, error) from error


def encoding_of(path: Path, encoding: str = "utf-8") -> str:
    """Return the encoding that a file's first bytes tell, or the one given."""
    with opened(path) as raw:
        first = raw.read(4)
    return next((name for bom, name in _BOMS.items() if first.startswith(bom)), encoding)


def _ends(path: Path, sign: str) -> bool:
    """Say whether a file that is not packed ends so, blanks aside; of packed ones, yes."""
    if path.suffix.lower() == ".gz":
        return True
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - 10_000))
        return raw.read().rstrip().endswith(sign.encode())


def in_utf8(backend: Any, path: Path, encoding: str) -> Path:
    """Return a file in UTF-8: the one given, or a copy that lives as long as the connection."""
    try:
        known = codecs.lookup(encoding_of(path, encoding)).name
    except LookupError as error:
        raise BadConfig(f"There is no encoding '{encoding}'. Try utf-8 or latin-1.") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise broken(path, error) from error
    if known == "utf-8":
        return path
    ending = "".join(suffix for suffix in path.suffixes[-2:] if suffix.lower() != ".gz")
    copy = scratch(backend, ending or ".txt")
    with (
        io.TextIOWrapper(opened(path), encoding=known, errors="replace", newline="") as text,
        copy.open("w", encoding="utf-8", newline="") as written,
    ):
        while part := text.read(HEAD_MAX):
            written.write(part)
    return copy


def scratch(backend: Any, ending: str) -> Path:
    """Return a new empty file where the connection spills; it goes when the connection goes."""
    ((place,),) = backend.raw_sql("SELECT current_setting('temp_directory')").fetchall()
    folder = Path(place) if place and Path(place).is_absolute() else Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("shopkeeper-rows-*"):
        # Of a process that was killed a day ago or more.
        if left.stat().st_mtime < time.time() - 86_400:
            left.unlink(missing_ok=True)
    handle = tempfile.NamedTemporaryFile(  # noqa: SIM115
        prefix="shopkeeper-rows-", suffix=ending, dir=folder, delete=False
    )
    handle.close()
    path = Path(handle.name)
    weakref.finalize(backend, path.unlink, missing_ok=True)
    return path


def open_json(backend: Any, path: Path) -> "ibis.Table":
    """Open JSON objects, one a line or one list; all columns are text, inner objects JSON.

    Args:
        backend: An Ibis connection on DuckDB.
        path: The file.

    Returns:
        All objects with `line` from 1, a column for each name that any of them has, and
        `problem` where a line is no object.

    Raises:
        BadData: There are no objects, or most lines are none.
    """
    import ibis

    path = in_utf8(backend, path, "utf-8")
    form = "array" if beginning(path, letters=1000).lstrip().startswith("[") else "nd"
    if form == "array" and not _ends(path, "]"):
        # The engine takes a list that breaks off behind a comma for a whole one.
        raise broken(path, ValueError("the list is never closed"))
    how: dict[str, Any] = {"format": "array"}
    if form == "nd":
        how = {"format": "newline_delimited", "ignore_errors": True}
    options = ", ".join(f"{name} = '{value}'" for name, value in how.items())
    place = str(path).replace("'", "''")
    objects = f"read_json_objects('{place}', {options})"
    names = backend.raw_sql(
        "SELECT name FROM (SELECT unnest(json_keys(json)) AS name, line FROM (SELECT json, "
        f"row_number() OVER () AS line FROM {objects})) GROUP BY name ORDER BY min(line), name "
        f"LIMIT {COLUMNS_MAX + 1}"
    ).fetchall()
    columns = unique([name for (name,) in names], path)
    if not columns:
        raise BadData(f"The file {path} holds no JSON objects. Export or download it again.")
    rows = backend.read_json(path, columns=dict.fromkeys(columns, "VARCHAR"), records=True, **how)
    nothing = ibis.and_(*(rows[name].isnull() for name in columns))
    rows = rows.mutate(line=ibis.row_number() + 1, problem=nothing.ifelse(NO_OBJECT, None))
    ((total, bad),) = backend.raw_sql(
        f"SELECT count(*), count(problem) FROM ({backend.compile(rows)})"
    ).fetchall()
    mostly_sound(path, total, bad, NO_OBJECT)
    return rows


def unique(names: list[str], path: Path) -> tuple[str, ...]:
    """Give every column a name of its own, whatever the case.

    Args:
        names: As the file has them; one may be empty.
        path: What the error calls the file.

    Returns:
        The same with `_2`, `_3` behind repeated names and `column_7` for the seventh if empty.

    Raises:
        BadData: There are too many.
    """
    if len(names) > COLUMNS_MAX:
        raise BadData(
            f"The file {path} has more than {COLUMNS_MAX:,} columns; nothing so wide is read. "
            "Export the columns that you need."
        )
    seen: set[str] = set()
    found = []
    for place, given in enumerate(names, start=1):
        base = "".join(letter for letter in given if letter.isprintable()).strip()
        name = base = base or f"column_{place}"
        again = 1
        while name.lower() in seen:
            again += 1
            name = f"{base}_{again}"
        seen.add(name.lower())
        found.append(name)
    return tuple(found)


def broken(path: Path, error: Exception) -> BadData:
    """Build the error for a file that stops in its middle."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
    return BadData(
        f"The file {path} is broken or half-written: {reason}. Export or download it again."
    )


def mostly_sound(path: Path, total: int, bad: int, first: str) -> None:
    if bad * 2 > total:
        raise BadData(
            f"{bad} of {total} rows of {path} cannot be read, first {first}. Correct the file, or "
            "export it again as UTF-8."
        )


def as_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """Open a file as text with one kind of line end; what is no text becomes lone surrogates."""
    name = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    errors = "surrogateescape" if name == "utf-8-sig" else "replace"
    return io.TextIOWrapper(opened(path), encoding=name, errors=errors)
