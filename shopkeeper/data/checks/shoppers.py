"""Sales to nobody known: they still teach what is bought together and what is wanted."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopkeeper import schema

if TYPE_CHECKING:
    import ibis


class Shoppers:
    """Keeps events without a shopper as anonymous ones and counts them."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What counts as nobody."""

        nobody: str = "0 unknown guest n/a"
        """Ids that tills write for nobody, with spaces between; any case."""

    tables = ("events",)

    def __init__(self, config: Config) -> None:
        self.config = config

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows with nobody's id removed, and which rows are anonymous."""
        import ibis

        nobody = rows[schema.USER].lower().isin(self.config.nobody.lower().split())
        user = nobody.ifelse(ibis.null("string"), rows[schema.USER])
        rows = rows.mutate(**{schema.USER: user})
        return rows, {"kept without a shopper": rows[schema.USER].isnull()}
