"""The shoppers of a shop, read from its lake part by part: one profile, or a file of them all.

A part holds all events of some shoppers and fits into memory, however many shoppers there are.
What is usual in the shop is counted once for each state of the lake and kept in `cache`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from shopkeeper.config import Config
from shopkeeper.engine import leanings as leanings_module
from shopkeeper.engine import segments as segments_module
from shopkeeper.engine.compact import unfolded
from shopkeeper.engine.known import lake_of, records_of
from shopkeeper.engine.leanings import ACTOR, KIND, WEIGHTS, facets, leanings, shares
from shopkeeper.engine.profile import Averages, Profile, profiles
from shopkeeper.engine.segments import clustered, rhythm, sums
from shopkeeper.errors import BadData, NotFound
from shopkeeper.schema import (
    EVENT_NAME,
    EVENTS,
    ITEM,
    PRICE,
    PRODUCT_ID,
    QUANTITY,
    TIME,
    TRANSACTION,
    USER,
    UTC_TIME,
    VISITOR,
    Dtype,
)
from shopkeeper.tracing import progress, stage

if TYPE_CHECKING:
    import ibis

COLUMNS = (EVENT_NAME, TIME, ITEM, PRICE, QUANTITY, "discount_minor", TRANSACTION)
EVENTS_AT_ONCE = 200_000
"""A part holds about so many events."""
ROWS_AT_ONCE = 5_000
ROW: dict[str, Dtype] = {
    "user_id": pl.String,
    "stage": pl.String,
    "segment": pl.String,
    "price_band": pl.String,
    "interests": pl.List(pl.String),
    "profile": pl.String,
}
"""A row of a file of profiles."""


class Shoppers:
    """Reads what a shop knows of its shoppers."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self._lake = lake_of(folder, config)
        with closing(records_of(folder, config)) as records:
            products = records.all()
        self.about = facets(products)
        self.titles = dict(products.select(PRODUCT_ID, "title").drop_nulls("title").iter_rows())
        self._rows = self._owned()
        self.size = int(self._rows.aggregate(n=self._rows.count()).to_polars()["n"][0])
        if not self.size:
            raise BadData("This shop knows no shoppers yet. Run `shopkeeper ingest` first.")
        self.now = self._now()

    def profile(self, user_id: str) -> Profile:
        """Return the profile of one shopper, or raise NotFound."""
        found = self._events(self._rows.filter(self._rows[ACTOR] == user_id))
        if found.is_empty():
            raise NotFound("There is no such shopper, or none with an event. Check the user_id.")
        return next(profiles(found, self.about, self.titles, self.averages(), self.now))

    def every(self) -> Iterator[Profile]:
        """Yield the profile of every shopper, part by part, by id inside each."""
        averages = self.averages()
        for part in self._parts("profiles"):
            yield from profiles(part, self.about, self.titles, averages, self.now)

    def averages(self) -> Averages:
        """Return what is usual in the shop, counted anew only after the lake has changed."""
        file = self.folder / "cache" / f"averages-{self._state()}.json"
        if file.is_file():
            return Averages.from_json(json.loads(file.read_text("utf-8")))
        with stage("averages", f"{self.size:,} events"):
            found = self._count()
        file.parent.mkdir(parents=True, exist_ok=True)
        for old in file.parent.glob("averages-*.json"):
            old.unlink(missing_ok=True)
        draft = file.with_suffix(".part")
        draft.write_text(json.dumps(found.to_json(), ensure_ascii=False), "utf-8")
        draft.replace(file)
        return found

    def _count(self) -> Averages:
        total: Counter[tuple[str, str]] = Counter()
        shoppers: Counter[str] = Counter()
        tables = []
        for part in self._parts("averages"):
            found = leanings(part, self.about, self.now)
            for kind, value, share in shares(found).iter_rows():
                total[kind, value] += share
            for kind, many in found.group_by(KIND).agg(pl.col(ACTOR).n_unique()).iter_rows():
                shoppers[kind] += many
            tables.append(sums(part))
        table = pl.concat(tables).sort(ACTOR)
        known: dict[str, dict[str, float]] = {}
        for (kind, value), share in sorted(total.items()):
            known.setdefault(kind, {})[value] = share / shoppers[kind]
        return Averages(
            num_shoppers=table.height,
            shares=known,
            rhythm=rhythm(table),
            clusters=clustered(table, self.now, self.config.train.seed),
        )

    def _parts(self, what: str) -> Iterator[pl.DataFrame]:
        """Yield all events of some shoppers, then of others, until all were had."""
        many = -(-self.size // EVENTS_AT_ONCE)
        number = (self._rows[ACTOR].hash() % many).abs()
        for part in progress(range(many), what):
            rows = self._rows if many == 1 else self._rows.filter(number == part)
            found = self._events(rows)
            if not found.is_empty():
                yield found

    def _events(self, rows: "ibis.Table") -> pl.DataFrame:
        found: pl.DataFrame = rows.to_polars()
        known = pl.col(TIME).cast(UTC_TIME)
        return found.with_columns(known).sort(ACTOR, TIME, ITEM, EVENT_NAME)

    def _owned(self) -> "ibis.Table":
        """Return the events of shoppers, and of the visitors that were joined to one last."""
        import ibis

        rows = self._lake.table("events").select(*COLUMNS, USER, VISITOR)
        live = unfolded(self._lake, self.folder / "log")
        if live:
            posted = pl.DataFrame(live, schema=EVENTS).select(*COLUMNS, USER, VISITOR)
            rows = rows.union(ibis.memtable(posted).cast(rows.schema()))
        both = rows.filter(rows[USER].notnull() & rows[VISITOR].notnull())
        owner = both.group_by(VISITOR).agg(owner=both[USER].argmax(both[TIME]))
        wanted = rows.filter(rows[EVENT_NAME].isin(list(WEIGHTS)) & rows[ITEM].notnull())
        joined = wanted.left_join(owner, VISITOR)
        joined = joined.mutate(**{ACTOR: joined[USER].coalesce(joined["owner"])})
        return joined.filter(joined[ACTOR].notnull()).select(ACTOR, *COLUMNS)

    def _now(self) -> datetime:
        """Return our time, or in a shop that replays an old log that of its last event."""
        if self.config.shop.clock == "live":
            return datetime.now(UTC).replace(microsecond=0)
        last: datetime = self._events(self._rows.order_by(self._rows[TIME].desc()).limit(1))[TIME][
            0
        ]
        return last

    def _state(self) -> str:
        """Return a text that changes with the lake, with the day, and with how is counted."""
        digest = hashlib.sha256(f"{self.now:%Y-%m-%d}".encode())
        digest.update((self.folder / "lake" / "manifest.json").read_bytes())
        for module in (leanings_module, segments_module):
            digest.update(Path(str(module.__file__)).read_bytes())
        return digest.hexdigest()[:16]


def write_profiles(shoppers: Shoppers, file: Path) -> int:
    """Write every profile into a Parquet file, and return how many.

    A row has `user_id`, `stage`, `segment`, `price_band`, `interests` (their names) and `profile`,
    all of it as JSON. The file is there as a whole or not at all.

    Args:
        shoppers: Of one shop.
        file: Replaced if it is there.

    Returns:
        The number of rows.
    """
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.part")
    shape = pl.DataFrame([], schema=ROW).to_arrow().schema
    rows: list[dict[str, Any]] = []
    many = 0
    with pq.ParquetWriter(draft, shape) as writer:
        for profile in shoppers.every():
            rows.append(_row(profile))
            many += 1
            if len(rows) == ROWS_AT_ONCE:
                writer.write_table(pl.DataFrame(rows, schema=ROW).to_arrow().cast(shape))
                rows = []
        writer.write_table(pl.DataFrame(rows, schema=ROW).to_arrow().cast(shape))
    draft.replace(file)
    return many


def _row(profile: Profile) -> dict[str, Any]:
    segments = profile["segments"]
    return {
        "user_id": profile["user_id"],
        "stage": profile["stage"]["name"],
        "segment": segments[0]["name"] if segments else None,
        "price_band": profile["price"]["band"] if profile["price"] else None,
        "interests": [line["value"] for line in profile["interests"]],
        "profile": json.dumps(profile, ensure_ascii=False),
    }
