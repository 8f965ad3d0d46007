"""Where planted behaviour grows: the real log, the dice, and what was planted so far."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from shopkeeper import schema

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlantSettings:
    """What is planted."""

    seed: int = 0
    """The same seed and log make the same plants."""
    each: int = 24
    """Anomalies of each kind; some more of those that come in groups."""
    decoys: int = 60
    """Decoys of each kind."""
    easy: bool = False
    """Whether to plant the half by which limits are chosen."""

    def __post_init__(self) -> None:
        if self.each < 1 or self.decoys < 0:
            raise ValueError(
                f"each must be at least 1 and decoys at least 0, but are {self.each} and "
                f"{self.decoys}"
            )


@dataclass
class Plot:
    """Where plants grow: the real log, the dice, and what was planted so far."""

    real: pl.DataFrame
    chance: np.random.Generator
    settings: PlantSettings
    rows: list[Row] = field(default_factory=list)
    told: list[tuple[str, str, str, str, bool]] = field(default_factory=list)
    changed: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.items = self.real[schema.ITEM].unique().sort().to_list()
        self.currency = self.real[schema.CURRENCY].drop_nulls().first()
        self.begin: datetime = self.real[schema.TIME].min()  # type: ignore[assignment]
        end: datetime = self.real[schema.TIME].max()  # type: ignore[assignment]
        self.days = max((end - self.begin).days - 8, 1)
        middle = self.real.group_by(schema.ITEM).agg(pl.col(schema.PRICE).median())
        self.price = dict(middle.iter_rows())
        self.orders = _orders(self.real)

    def name(self, kind: str, way: str, *, decoy: bool = False, subject: str = schema.VISITOR,
             id: str = "") -> str:  # fmt: skip
        """Give a plant an id that says nothing, and remember what it is."""
        new = id or f"p{self.settings.seed}{int(self.settings.easy)}{len(self.told):05d}"
        self.told.append((kind, subject, new, way, decoy))
        return new

    def day(self, hour: float = 0.0) -> datetime:
        """Return an hour of a random day of the log."""
        midnight = self.begin.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + timedelta(days=int(self.chance.integers(1, self.days + 1)), hours=hour)

    def between(self, low: float, high: float) -> float:
        """Draw a number whose logarithm is even."""
        return float(np.exp(self.chance.uniform(np.log(low), np.log(high))))

    def act(self, kind: str, at: datetime, **columns: Any) -> None:
        """Add an event."""
        number = f"plant-{self.settings.seed}-{int(self.settings.easy)}-{len(self.rows)}"
        self.rows.append(
            {schema.EVENT_ID: number, schema.EVENT_NAME: kind, schema.TIME: at, **columns}
        )

    def pick(self) -> str:
        """Draw a product."""
        return str(self.items[int(self.chance.integers(len(self.items)))])

    def order(self, at: datetime, order: str, lines: list[tuple[str, int]], **more: Any) -> None:
        """Add the lines of an order at the products' usual prices, unless `more` says others."""
        columns = {schema.CURRENCY: self.currency, schema.TRANSACTION: order}
        for item, pieces in lines:
            price = {schema.PRICE: round(self.price[item] or 100)}
            self.act("purchase", at, **{schema.ITEM: item, schema.QUANTITY: pieces, **price,
                                        **columns, **more})  # fmt: skip

    def basket(self) -> list[tuple[str, int]]:
        """Draw a real order."""
        return self.orders[int(self.chance.integers(len(self.orders)))]


def _orders(real: pl.DataFrame) -> list[list[tuple[str, int]]]:
    """Return some thousand real orders as products and pieces."""
    ids = real[schema.TRANSACTION].unique().sort().head(50_000)
    kept = real.filter(
        pl.col(schema.TRANSACTION).is_in(ids.gather_every(max(len(ids) // 4000, 1)).implode())
    )
    lines = kept.sort(schema.TRANSACTION, schema.EVENT_ID).group_by(
        schema.TRANSACTION, maintain_order=True
    ).agg(schema.ITEM, pl.col(schema.QUANTITY).fill_null(1))  # fmt: skip
    return [list(zip(items, pieces, strict=True)) for _, items, pieces in lines.iter_rows()]
