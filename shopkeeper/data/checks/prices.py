"""Sales at no price or at an absurd one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Prices:
    """Refuses sales whose price is missing, zero, negative, or far above the product's usual."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What a price may be."""

        times_usual_max: float = 100.0
        """How many times the product's median price a price may be."""
        sales_min: int = 5
        """Sales a product needs before its usual price is trusted."""
        price_minor_max: int = 100_000_000
        """Highest price of one piece, in minor units."""
        share_max: float = 0.05
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.times_usual_max <= 1:
                raise ValueError(f"times_usual_max must exceed 1, but is {self.times_usual_max}")

    tables = ("events",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        config, price = self.config, rows[schema.PRICE]
        sale = rows[schema.EVENT_NAME].isin(["purchase", "refund"])
        sold = rows.filter(rows[schema.EVENT_NAME] == "purchase", rows[schema.PRICE] > 0)
        # A median holds all values of its product: few products need one.
        range_ = sold.group_by(schema.ITEM).agg(
            _sales=sold.count(), _min=sold[schema.PRICE].min(), _max=sold[schema.PRICE].max()
        )
        wide = range_.filter(
            range_._sales >= config.sales_min, range_._max > config.times_usual_max * range_._min
        )
        doubtful = sold.semi_join(wide, schema.ITEM)
        usual = doubtful.group_by(schema.ITEM).agg(_median=doubtful[schema.PRICE].median())
        priced = rows.inner_join(usual.select(schema.ITEM, "_median"), schema.ITEM)
        absurd = priced.filter(priced[schema.PRICE] > config.times_usual_max * priced._median)
        return {
            "the price is missing or not a number": sale & price.isnull(),
            "the price is zero or negative": sale & (price <= 0),
            "the price is beyond any price": price > config.price_minor_max,
            "the price is absurd beside the product's usual price": absurd.select("line"),
        }
