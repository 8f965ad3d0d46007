"""Products that differ in their id alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis

_SAME = ("brand", "size", "color", "material", "gender", "age_group", schema.PRICE)


class NearDuplicates:
    """Finds products with the same words in any order, and the same brand, variant and price.

    They are counted and stay, for they may be two offers; a shop that knows better refuses all
    but the first.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What is done with them."""

        refuse: bool = False
        """Whether all but the first of them are refused."""
        words_min: int = 3
        """A title of fewer words says too little to tell."""
        share_max: float = 0.2
        """Largest share of a table's rows that this may refuse in a strict load."""

        def __post_init__(self) -> None:
            if self.words_min < 1:
                raise ValueError(f"words_min must be at least 1, but is {self.words_min}")

    tables = ("products",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def refuse(self, rows: "ibis.Table") -> "dict[str, ibis.BooleanValue | ibis.Table]":
        """Return which rows to refuse, by reason."""
        if not self.config.refuse or "title" not in rows.columns:
            return {}
        return {"another product has the same words, brand, variant and price": self._later(rows)}

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows as they are, and which look like another product."""
        if "title" not in rows.columns:
            return rows, {}
        later = self._later(rows).mutate(_later=True)
        joined = rows.left_join(later, "line").drop("line_right")
        return joined, {"looks like another product, and was kept": joined._later.fill_null(False)}

    def _later(self, rows: "ibis.Table") -> "ibis.Table":
        """Return the `line` of all but the first of products that look the same."""
        import ibis

        plain = rows.title.lower().re_replace(r"[\s\p{P}\p{S}]+", " ").re_replace("^ | $", "")
        same = {"_words": plain.split(" ").sort().join(" ")}
        for name in _SAME:
            if name in rows.columns:
                same[f"_{name}"] = rows[name].cast("string").lower().fill_null("")
        if schema.CATEGORY in rows.columns:
            same["_category"] = rows[schema.CATEGORY].fill_null("")
        same["_num_words"] = plain.length() - plain.replace(" ", "").length() + 1
        marked = rows.select("line", **same).filter(ibis._._num_words >= self.config.words_min)
        order = ibis.row_number().over(ibis.window(group_by=list(same), order_by=marked.line))
        return marked.mutate(_place=order).filter(ibis._._place > 0).select("line")
