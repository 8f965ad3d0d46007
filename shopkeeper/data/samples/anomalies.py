"""Planted unusual behaviour: bots, click fraud, wholesale, price mistakes and test orders.

Each kind is mixed into a real log beside decoys that look like it and are none: people who look
and do not buy, a promotion that is truly wanted, loyal customers, discounts, returns. The easy
half of the ways it is done is for choosing limits; the other half, with weaker numbers and ways
the first does not have, is for telling how well they do. Knows nothing of who finds them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shopkeeper import schema
from shopkeeper.data.samples._plot import PlantSettings, Plot, Row
from shopkeeper.errors import BadData

DAY_S = 86_400.0
TRUTH: dict[str, schema.Dtype] = {
    "kind": pl.String, "subject": pl.String, "id": pl.String, "way": pl.String, "decoy": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True)
class Planted:
    """A log with anomalies in it."""

    events: pl.DataFrame
    """`schema.EVENTS` rows, the real ones among them."""
    truth: pl.DataFrame
    """`kind`, `subject`, `id`, `way`, `decoy`: one row for all that was planted."""


def plant(events: pl.DataFrame, settings: PlantSettings | None = None) -> Planted:
    """Mix unusual behaviour of every kind into a log.

    Args:
        events: `schema.EVENTS` rows, with purchases that have a price.
        settings: What to plant.

    Returns:
        The log with plants and decoys, and what they are.

    Raises:
        BadData: There is no priced purchase to learn the shop's ways from.
    """
    settings = settings or PlantSettings()
    events = schema.conform(events, schema.EVENTS)
    real = events.filter(
        pl.col(schema.EVENT_NAME) == "purchase",
        pl.col(schema.ITEM).is_not_null() & pl.col(schema.TRANSACTION).is_not_null(),
        pl.col(schema.PRICE) > 0,
    )
    if real.is_empty():
        raise BadData("There are no priced purchases to plant anomalies among.")
    plot = Plot(real, np.random.default_rng([settings.seed, int(settings.easy)]), settings)
    for grow in (_bots, _clicks, _wholesale, _test_orders, _prices):
        grow(plot)
    rows = pl.DataFrame(plot.rows, schema=schema.EVENTS)
    changes = pl.DataFrame(plot.changed, schema={schema.EVENT_ID: pl.String, "_new": pl.Int64})
    mixed = events.join(changes, on=schema.EVENT_ID, how="left", maintain_order="left")
    mixed = mixed.with_columns(pl.coalesce("_new", schema.PRICE).alias(schema.PRICE)).drop("_new")
    truth = pl.DataFrame(plot.told, schema=TRUTH, orient="row")
    return Planted(pl.concat([mixed, rows]), truth)


def _bots(plot: Plot) -> None:
    """Programs that look; decoys are people who look long and buy nothing."""
    ways = {"fast": _fast, "clock": _clock}
    if not plot.settings.easy:
        ways |= {"crawler": _crawler, "polite": _polite, "shy": _shy}
    for number in range(plot.settings.each):
        way = list(ways)[number % len(ways)]
        subject = (schema.VISITOR, schema.USER)[number // len(ways) % 2]
        who = plot.name("bots", way, subject=subject)
        at = plot.day(float(plot.chance.uniform(0, 24)))
        first = int(plot.chance.integers(len(plot.items)))
        for place, gap_s in enumerate(ways[way](plot)):
            at += timedelta(seconds=float(gap_s))
            item = plot.items[(first + place) % len(plot.items)]
            plot.act("view_item", at, **{subject: who, schema.ITEM: item})
    for _ in range(plot.settings.decoys):
        who = plot.name("bots", "looks and does not buy", decoy=True)
        liked = [plot.pick() for _ in range(int(plot.chance.integers(20, 120)))]
        for _ in range(int(plot.chance.integers(2, 15))):
            at = plot.day(float(plot.chance.uniform(7, 22)))
            for gap_s in plot.chance.lognormal(np.log(20), 1.1, int(plot.chance.integers(8, 70))):
                at += timedelta(seconds=float(min(gap_s, 900)))
                item = liked[int(plot.chance.integers(len(liked)))]
                plot.act("view_item", at, **{schema.VISITOR: who, schema.ITEM: item})


def _fast(plot: Plot) -> NDArray[np.float64]:
    if plot.settings.easy:
        return plot.chance.lognormal(
            np.log(plot.between(0.3, 2)), 0.3, round(plot.between(200, 2000))
        )
    return plot.chance.exponential(plot.between(0.4, 2.2), round(plot.between(120, 2000)))


def _clock(plot: Plot) -> NDArray[np.float64]:
    gap_s = plot.between(5, 45) if plot.settings.easy else plot.between(8, 90)
    jitter = plot.between(0.02, 0.08) if plot.settings.easy else plot.between(0.03, 0.2)
    steps = round(plot.between(200, 1500) if plot.settings.easy else plot.between(100, 1200))
    return np.maximum(gap_s * plot.chance.normal(1, jitter, steps), 0.1)


def _crawler(plot: Plot) -> NDArray[np.float64]:
    mean_s = plot.between(20, 120)
    return plot.chance.exponential(mean_s, round(plot.between(1, 3) * DAY_S / mean_s))


def _polite(plot: Plot) -> NDArray[np.float64]:
    """By day only, and with gaps like those of people; only much of it."""
    gap_s = plot.between(15, 40)
    daily = round(10 * 3600 / gap_s)
    days = int(plot.chance.integers(3, 7))
    gaps = plot.chance.lognormal(np.log(gap_s), 0.7, daily * days)
    gaps[::daily] += 12 * 3600
    return gaps


def _shy(plot: Plot) -> NDArray[np.float64]:
    """Nothing of it beyond what a person might do: a little even, a little long, a little much."""
    daily, days = int(plot.chance.integers(250, 450)), int(plot.chance.integers(2, 6))
    gap_s = plot.chance.uniform(10, 14) * 3600 / daily
    gaps = gap_s * plot.chance.lognormal(0, plot.chance.uniform(0.35, 0.5), daily * days)
    gaps[::daily] += 11 * 3600
    return gaps


def _clicks(plot: Plot) -> None:
    """Few who click one thing; decoys are a promotion that is wanted, and people who hesitate."""
    ways = ["one"] if plot.settings.easy else ["one", "slow"]
    left = plot.settings.each
    while left > 0:
        size = 2 if plot.settings.easy else int(plot.chance.integers(4, 8))
        promoted = {"promotion_id": f"promo-{left}", schema.ITEM: plot.pick()}
        noon = plot.day(12)
        for _ in range(size):
            late_s = float(plot.chance.uniform(0, 600))
            num = round(plot.between(20, 60) if plot.settings.easy else plot.between(8, 16))
            who = plot.name("click_fraud", "ring")
            _click(plot, who, noon + timedelta(seconds=late_s), num, 2000 / num, promoted)
        left -= size
        for way in ways:
            slow = way == "slow"
            gap_s = plot.between(50, 150) if slow else plot.between(2, 30)
            num = round(plot.between(25, 60) if slow else plot.between(25, 150))
            who = plot.name("click_fraud", way)
            at = plot.day(float(plot.chance.uniform(0, 23)))
            _click(plot, who, at, num, gap_s, {schema.ITEM: plot.pick()})
            left -= 1
    wanted = {"promotion_id": "promo-wanted", schema.ITEM: plot.pick()}
    noon = plot.day(12)
    for number in range(plot.settings.decoys):
        at = noon + timedelta(seconds=float(plot.chance.uniform(0, 1800)))
        if number % 2:
            who = plot.name("click_fraud", "wants the promotion", decoy=True)
            _click(plot, who, at, int(plot.chance.integers(1, 4)), 60, wanted)
        else:
            _hesitate(plot)


def _click(plot: Plot, who: str, at: datetime, num: int, gap_s: float, on: Row) -> None:
    """Click; the hard half looks at something else in between now and then."""
    name = "select_promotion" if "promotion_id" in on else "select_item"
    for _ in range(num):
        at += timedelta(seconds=float(plot.chance.exponential(gap_s)) + 0.5)
        plot.act(name, at, **{schema.VISITOR: who}, **on)
        if not plot.settings.easy and plot.chance.random() < 0.1:
            aside = at + timedelta(seconds=0.3)
            plot.act("view_item", aside, **{schema.VISITOR: who, schema.ITEM: plot.pick()})


def _hesitate(plot: Plot) -> None:
    """Come back to one product among others; every second puts it in the cart."""
    who = plot.name("click_fraud", "hesitates", decoy=True)
    liked, at = plot.pick(), plot.day(float(plot.chance.uniform(8, 21)))
    for _ in range(int(plot.chance.integers(6, 15))):
        for item in (liked, *(plot.pick() for _ in range(int(plot.chance.integers(1, 4))))):
            at += timedelta(seconds=float(plot.chance.lognormal(np.log(25), 1)))
            both = {schema.VISITOR: who, schema.ITEM: item}
            plot.act("select_item", at, **both)
            plot.act("view_item", at + timedelta(seconds=1), **both)
    if plot.chance.random() < 0.5:
        plot.act("add_to_cart", at, **{schema.VISITOR: who, schema.ITEM: liked})


def _wholesale(plot: Plot) -> None:
    """Buyers beyond the one in two hundred; decoys are loyal households, some of them large."""
    buyers = plot.real.group_by(schema.USER).agg(
        line=pl.col(schema.QUANTITY).sum() / pl.len(),
        order=pl.col(schema.QUANTITY).sum() / pl.col(schema.TRANSACTION).n_unique(),
    ).drop_nulls()  # fmt: skip
    far = {
        name: max(8 * float(buyers[name].median()), float(buyers[name].quantile(0.995)))  # type: ignore[arg-type]
        for name in ("line", "order")
    }
    low, high = (2.0, 8.0) if plot.settings.easy else (1.0, 5.0)
    for number in range(plot.settings.each):
        lots = number % 2 == 0
        who = plot.name("wholesale", "lots" if lots else "stock", subject=schema.USER)
        strength = plot.between(low, high)
        for place in range(int(plot.chance.integers(2, 9))):
            if lots:
                num, pieces = int(plot.chance.integers(1, 6)), far["line"] * strength
            else:
                pieces = far["order"] * strength
                num = min(int(plot.chance.integers(20, 60)), int(pieces))
                pieces /= num
            lines = [
                (plot.pick(), max(round(pieces * plot.between(0.6, 1.6)), 1)) for _ in range(num)
            ]
            plot.order(plot.day(10), f"{who}-{place}", lines, **{schema.USER: who})
    for number in range(plot.settings.decoys):
        who = plot.name("wholesale", "loyal", decoy=True, subject=schema.USER)
        times = 2 if number % 3 == 0 else 1
        for place in range(int(plot.chance.integers(10, 30))):
            lines = [(item, times * pieces) for item, pieces in plot.basket()]
            plot.order(plot.day(10), f"{who}-{place}", lines, **{schema.USER: who})


def _test_orders(plot: Plot) -> None:
    """Tries of the checkout; decoys are returns, standing orders and unlucky names."""
    ways: list[tuple[str, Callable[[Plot, int], None]]] = [
        ("named", _named), ("cent", _cent), ("undone", _undone), ("repeated", _repeated),
    ]  # fmt: skip
    for number in range(plot.settings.each):
        ways[number % len(ways)][1](plot, number)
    unlucky = ("contest", "protester", "attestation", "testarossa", "ronqa", "fakeed")
    for number in range(plot.settings.decoys):
        who, way = f"{unlucky[number % 6]}{number}", number % 4
        if way == 0:
            plot.name("test_orders", "unlucky name", decoy=True, subject=schema.USER, id=who)
            plot.order(plot.day(9), f"d{number}", plot.basket(), **{schema.USER: who})
            continue
        for place in range(6 if way == 1 else 1):
            tell = ("", "standing order", "late return", "part returned")[way]
            order = plot.name("test_orders", tell, decoy=True, subject=schema.TRANSACTION)
            lines = [*plot.basket(), (plot.items[0], 1), (plot.items[1], 1)]
            at = plot.begin + timedelta(days=7 * (place + 1), hours=9)
            plot.order(at, order, lines, **{schema.USER: f"d{number}"})
            if way == 2:
                _refund(plot, at + timedelta(days=plot.between(1, 30)), order, lines)
            if way == 3:
                _refund(plot, at + timedelta(seconds=120), order, lines[-1:])


def _named(plot: Plot, number: int) -> None:
    easy = plot.settings.easy
    names = ("test-user-", "dummy.") if easy else ("qa_", "fake-shopper-", "Tester", "staging:")
    who = f"{names[number // 4 % len(names)]}{number}"
    plot.name("test_orders", "named", subject=schema.USER, id=who)
    plot.order(plot.day(9), f"n{plot.settings.seed}-{number}", plot.basket(), **{schema.USER: who})


def _cent(plot: Plot, number: int) -> None:
    order = plot.name("test_orders", "cent", subject=schema.TRANSACTION)
    plot.order(plot.day(9), order, plot.basket(), **{schema.USER: f"t{number}", schema.PRICE: 1})


def _undone(plot: Plot, number: int) -> None:
    order = plot.name("test_orders", "undone", subject=schema.TRANSACTION)
    lines, at = plot.basket(), plot.day(9)
    plot.order(at, order, lines, **{schema.USER: f"t{number}"})
    wait_s = plot.between(10, 300) if plot.settings.easy else plot.between(5, 880)
    _refund(plot, at + timedelta(seconds=wait_s), order, lines)


def _repeated(plot: Plot, number: int) -> None:
    lines, at = plot.basket(), plot.day(9)
    for _ in range(
        int(plot.chance.integers(6, 12) if plot.settings.easy else plot.chance.integers(4, 9))
    ):
        order = plot.name("test_orders", "repeated", subject=schema.TRANSACTION)
        at += timedelta(minutes=plot.between(1, 60))
        mixed = [lines[place] for place in plot.chance.permutation(len(lines))]
        plot.order(at, order, mixed, **{schema.USER: f"t{number}"})


def _refund(plot: Plot, at: datetime, order: str, lines: list[tuple[str, int]]) -> None:
    for item, pieces in lines:
        plot.act("refund", at, **{schema.TRANSACTION: order, schema.ITEM: item,
                                  schema.QUANTITY: pieces})  # fmt: skip


def _prices(plot: Plot) -> None:
    """Real sales at a wrong price; decoys are sales at a discount or after a rise."""
    busy = plot.real.filter(pl.len().over(schema.ITEM) >= 10)
    num = 3 * plot.settings.each + plot.settings.decoys
    rows = busy.filter(~pl.col(schema.ITEM).is_in(plot.items[:2]))
    usual = rows.select(schema.EVENT_ID, schema.ITEM).to_dicts()
    chosen = plot.chance.permutation(len(usual))[:num]
    for place, row in enumerate(chosen):
        event, price = usual[int(row)][schema.EVENT_ID], plot.price[usual[int(row)][schema.ITEM]]
        decoy = place >= 3 * plot.settings.each
        way, times = _times(plot, place, decoy=decoy)
        new = round(price * times)
        if new < 1 or (not decoy and abs(np.log(new / price)) < 0.9 * abs(np.log(times))):
            continue
        plot.name("price_mistakes", way, decoy=decoy, subject=schema.EVENT_ID, id=event)
        plot.changed.append({schema.EVENT_ID: event, "_new": new})


def _times(plot: Plot, place: int, *, decoy: bool) -> tuple[str, float]:
    """Return how a price goes wrong and by how many times."""
    if decoy:
        return "discount or rise", plot.between(0.6, 1.5)
    slip = (10.0, 0.1, 100.0, 0.01)[place // 2 % 4]
    if place % 2 == 0:
        return f"{slip:g} times", slip
    low, high = (8, 30) if plot.settings.easy else (5, 60)
    times = plot.between(low, high)
    return "far off", times if place // 2 % 2 else 1 / times
