"""Reads a table of impressions: a label, amounts, and columns of codes.

Knows no ranker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper.contracts import Columns
from shopkeeper.errors import BadConfig, BadData

# N rows, F features

TRUE, FALSE = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")
TEXTS_MAX = 5000
"""A column of text with more different values is no code, unless it is named as one."""
SHOWN = 300
"""Letters of column names that an error quotes."""


@dataclass(frozen=True)
class Roles:
    """What the columns of a file are."""

    label: str
    categorical: Sequence[str] = ()
    """Columns of codes; text is one unroles."""
    group: str = ""
    """Rows with one value belong together: a shopper, or a page."""
    time: str = ""
    place: str = ""
    """The place on the page, from 0 or 1."""
    placement: str = ""
    """Which strip of which page; chances may be learned apart for each."""
    sale: str = ""
    """Whether the click ended in a sale; for rankers that learn both."""
    drop: Sequence[str] = ()

    def named(self) -> list[str]:
        """List all columns that are named."""
        one = (self.label, self.group, self.time, self.place, self.placement, self.sale)
        return [name for name in (*one, *self.categorical, *self.drop) if name]


@dataclass(frozen=True)
class Impressions:
    """A table, ready to learn from, in the order of time where there is one."""

    features: NDArray[np.float32]
    """[N, F]."""
    names: tuple[str, ...]
    """Of the features."""
    columns: Columns
    labels: NDArray[np.float32]
    """[N]."""
    sales: NDArray[np.float32] | None
    groups: NDArray[np.int64]
    """The group of each row, [N]; each its own where none is named."""
    grouped: bool
    timed: bool
    placements: NDArray[np.object_] | None
    codes: dict[str, list[str]] = field(default_factory=dict)
    """By column of codes: what each stands for."""
    left_out: tuple[str, ...] = ()
    """Columns that say nothing: without a name, or the same in all rows."""

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)


def read_impressions(file: Path, roles: Roles, like: "Impressions | None" = None) -> Impressions:
    """Read CSV, TSV or Parquet.

    Args:
        file: A row for each impression.
        roles: What the columns are.
        like: Another table, whose features and codes this one shall have; what it lacks is unknown.

    Returns:
        The table.

    Raises:
        BadConfig: A column is named that is not there, or named for two things.
        BadData: The file is missing or broken, a label is not 0 or 1, or a column can be no
            feature.
    """
    rows = _read(file)
    _check_names(rows, roles, file)
    if roles.time:
        rows = _in_time(rows, roles.time, file)
    labels = _labels(rows[roles.label], file)
    sales = _labels(rows[roles.sale], file) if roles.sale else None
    taken = {roles.label, roles.sale, roles.group, roles.time, *roles.drop}
    given = [name for name in rows.columns if name not in taken]
    coded = {*roles.categorical, *([roles.placement] if roles.placement else [])}
    names = (
        list(like.names)
        if like
        else [name for name in given if name == roles.place or _says(rows[name], name)]
    )
    codes = dict(like.codes) if like else {}
    features = []
    for name in names:
        if name not in rows.columns:
            raise BadData(f"The file {file} has no column '{name}', which the other one has.")
        series = rows[name]
        if name == roles.place:
            features.append(_place(series, file))
        elif name in codes or name in coded or series.dtype in (pl.String, pl.Categorical, pl.Enum):
            features.append(_coded(series, codes, name, named=name in coded, file=file))
        else:
            features.append(_amount(series, file))
    groups = np.arange(rows.height)
    if roles.group:
        groups = np.unique(rows[roles.group].cast(pl.String).fill_null("").to_numpy(),
                           return_inverse=True)[1]  # fmt: skip
    place = names.index(roles.place) if roles.place in names else None
    return Impressions(
        features=np.column_stack(features).astype(np.float32),
        names=tuple(names),
        columns=Columns(tuple(at for at, name in enumerate(names) if name in codes), place=place),
        labels=labels,
        sales=sales,
        groups=groups,
        grouped=bool(roles.group),
        timed=bool(roles.time),
        placements=_names(rows[roles.placement]) if roles.placement else None,
        codes=codes,
        left_out=tuple(name or "(no name)" for name in given if name not in names),
    )


def _read(file: Path) -> pl.DataFrame:
    if not file.is_file():
        raise BadData(f"There is no file {file}. Check the path.")
    kind = file.suffix.lower()
    try:
        if kind == ".parquet":
            rows = pl.read_parquet(file)
        elif kind in (".csv", ".tsv"):
            rows = pl.read_csv(
                file, separator="\t" if kind == ".tsv" else ",", infer_schema_length=None
            )
        else:
            raise BadData(f"The file {file} ends in '{kind}'. Give a .csv, .tsv or .parquet file.")
    except (pl.exceptions.PolarsError, OSError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadData(f"The file {file} cannot be read: {said}. Export it again.") from error
    if rows.is_empty():
        raise BadData(f"The file {file} has no rows.")
    return rows


def _check_names(rows: pl.DataFrame, roles: Roles, file: Path) -> None:
    for name in roles.named():
        if name not in rows.columns:
            there = ", ".join(rows.columns)[:SHOWN]
            raise BadConfig(f"The file {file.name} has no column '{name}'. It has: {there}.")
    for name in dict.fromkeys(roles.named()):
        times = roles.named().count(name)
        if times > 1 and not (times == 2 and name == roles.placement and name in roles.categorical):
            raise BadConfig(f"The column '{name}' is named for two things. Name it once.")


def _in_time(rows: pl.DataFrame, name: str, file: Path) -> pl.DataFrame:
    """Sort by time; texts are read as ISO 8601, which sorts as it stands."""
    if rows[name].null_count() or rows[name].dtype.is_nested():
        raise BadData(f"The column '{name}' of {file} is no time, or is empty somewhere.")
    return rows.sort(name, maintain_order=True)


def _labels(series: pl.Series, file: Path) -> NDArray[np.float32]:
    said = series.cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
    odd = series.filter(~said.is_in([*TRUE, *FALSE]).fill_null(value=False))
    if len(odd):
        shown = ", ".join(str(value) for value in odd.unique(maintain_order=True)[:3])
        raise BadData(
            f"The column '{series.name}' of {file} must say 0 or 1, true or false, yes or no, but "
            f"it also says: {shown}. Leave such rows out."
        )
    return said.is_in(TRUE).cast(pl.Float32).to_numpy()


def _says(series: pl.Series, name: str) -> bool:
    """Say whether a column can tell rows apart."""
    return bool(name.strip()) and not series.dtype.is_nested() and series.n_unique() > 1


def _amount(series: pl.Series, file: Path) -> NDArray[np.float32]:
    if series.dtype.is_temporal():
        raise BadData(
            f"The column '{series.name}' of {file} is a time. Name it with --time, or leave it out "
            f"with --drop {series.name}."
        )
    return series.cast(pl.Float32, strict=False).fill_null(float("nan")).to_numpy()


def _coded(
    series: pl.Series, codes: dict[str, list[str]], name: str, *, named: bool, file: Path
) -> NDArray[np.float32]:
    said = series.cast(pl.String, strict=False)
    if name not in codes:
        different = said.drop_nulls().unique().sort()
        if len(different) > TEXTS_MAX and not named:
            raise BadData(
                f"The column '{name}' of {file} is text with {len(different):,} different values. "
                f"Name it with --categorical, --group or --time, or leave it out: --drop {name}."
            )
        codes[name] = different.to_list()
    known = codes[name]
    # What the first table lacks is a code that no ranker can have learned.
    beyond = float(len(known))
    number = said.replace_strict(
        known, list(range(len(known))), default=None, return_dtype=pl.Float32
    )
    found = pl.select(
        pl.when(said.is_null()).then(None).otherwise(number.fill_null(beyond))
    ).to_series()
    return found.fill_null(float("nan")).cast(pl.Float32).to_numpy()


def _place(series: pl.Series, file: Path) -> NDArray[np.float32]:
    """Return places from 0, whether the file counts from 0 or 1."""
    number = series.cast(pl.Float64, strict=False)
    low: Any = number.min()
    if low is None or low not in (0, 1) or not (number.drop_nulls() % 1 == 0).all():
        raise BadData(
            f"The column '{series.name}' of {file} must count places from 0 or 1; its least is "
            f"{low}. Leave it out with --drop {series.name}."
        )
    found = (number - low).cast(pl.Float32).fill_null(float("nan"))
    return np.asarray(found.to_numpy())


def _names(series: pl.Series) -> NDArray[np.object_]:
    return series.cast(pl.String, strict=False).fill_null("").to_numpy().astype(object)
