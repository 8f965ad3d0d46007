"""A shop with the engine's methods, a planted catalogue, and a real event log and online state."""

import secrets
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from shopkeeper.contracts import Heard
from shopkeeper.engine.answers import Answer, Receipt, Result
from shopkeeper.errors import BadRequest, NotFitted, NotFound
from shopkeeper.search.understanding import Chip, Understood
from shopkeeper.streaming.events import normalise
from shopkeeper.streaming.log import EventLog
from shopkeeper.streaming.state import OnlineState

KINDS = {
    "Home > Candles": ["tea light holder", "pillar candle", "scented candle in a glass", "lantern"],
    "Home > Kitchen": ["cake stand", "enamel bowl", "recipe box", "set of three cake tins"],
    "Garden > Pots": ["terracotta pot", "hanging basket", "seed tray", "watering can"],
    "Stationery > Paper": ["notebook", "wrapping paper", "gift tag", "calendar"],
    "Toys > Wooden": ["train", "spinning top", "building blocks", "dolls house"],
}
COLOURS = ["White", "Red retrospot", "Ivory heart", "Vintage blue"]


def catalogue():
    found = {}
    for kind, things in KINDS.items():
        for thing in things:
            for colour in COLOURS:
                number = f"{22000 + len(found)}"
                found[number] = {
                    "title": f"{colour} {thing}",
                    "description": f"{colour} {thing}, from our own workshop.",
                    "price": f"{1 + len(found) * 7 % 40}.95",
                    "currency": "GBP",
                    "availability": "in_stock",
                    "product_type": kind,
                    "brand": "Hearth & Home" if len(found) % 3 else "Maker",
                    "color": colour,
                    "updated": datetime(2026, 1, 1, tzinfo=UTC),
                }
    # A title that would run, were it not escaped.
    found["evil"] = found["22000"] | {"title": "<script>alert(1)</script> & 'co' 🎄 茶"}
    # The engine leaves out what a shop does not know.
    found["bare"] = {"title": "Lucky bag", "price": None}
    return found


@dataclass
class Section:
    name: str = "The Gift Shop"
    currency: str = "GBP"
    notice: str = "Data: made for tests."
    host: str = "127.0.0.1"
    port: int = 0
    size_max: int = 1000
    body_mb_max: float = 0.2
    origins: tuple[str, ...] = ()


@dataclass
class Settings:
    shop: Section = field(default_factory=Section)
    serving: Section = field(default_factory=Section)


class FakeShop:
    def __init__(self, folder: Path, trained: bool = True):
        self.config, self.folder, self.trained = Settings(), folder, trained
        self.things = catalogue()
        self.log, self.state = EventLog(folder / "log"), OnlineState()
        self.state.append(self.log.replay())
        self.closed = False

    def _check(self, k=1, offset=0):
        if not self.trained:
            raise NotFitted("The shop was never trained. Run `shopkeeper train` first.")
        if not 1 <= k <= 1000:
            raise BadRequest("k", f"k must be from 1 to 1000, got {k}.")
        if not 0 <= offset <= 100_000:
            raise BadRequest("offset", f"offset must be from 0 to 100000, got {offset}.")

    def _answer(self, ids, reason, source, total=None, notes=(), facets=None):
        results = [
            Result(
                name, 1 / (rank + 1), rank + 1, source, reason, {"id": name, **self.things[name]}
            )
            for rank, name in enumerate(ids)
        ]
        total = len(results) if total is None else total
        return Answer(secrets.token_hex(8), results, total, "7", 1.5, list(notes), facets or {})

    def search(
        self,
        query,
        *,
        k=24,
        offset=0,
        filters=None,
        price_min=None,
        price_max=None,
        sort="relevance",
        user_id=None,  # noqa: ARG002
        visitor_id=None,  # noqa: ARG002
        understand=True,
        ignore=(),
        personal=True,  # noqa: ARG002
    ):
        self._check(k, offset)
        if sort not in ("relevance", "price_asc", "price_desc", "newest"):
            raise BadRequest("sort", "There is no such sort.")
        if query == "explode":
            raise RuntimeError("secret of anna@example.org")
        for name in filters or {}:
            if name not in ("product_type", "brand", "color"):
                raise BadRequest("filter", "There is no such attribute.")
        words = query.lower().split()
        found = [
            name
            for name, thing in self.things.items()
            if all(word in thing["title"].lower() for word in words)
            and all(thing.get(key) in values for key, values in (filters or {}).items())
            and (price_min or 0) <= float(thing["price"] or 0) <= (price_max or 1e9)
        ]
        if sort.startswith("price"):
            found.sort(key=lambda name: float(self.things[name]["price"] or 0))
        notes = [] if found else ["No product has all these words."]
        facets = {}
        for key in ("product_type", "brand", "color"):
            values = [self.things[name][key] for name in found if key in self.things[name]]
            facets[key] = sorted({(value, values.count(value)) for value in values})
        page = found[offset : offset + k]
        answer = self._answer(page, "Matches your words", "lexical", len(found), notes, facets)
        chip = Chip("spelling", "whit → white", "spelling:whit")
        if not understand or query != "whit" or chip.key in ignore:
            return answer
        return replace(answer, understood=Understood(query, "white", "white", chips=(chip,)))

    def search_by_picture(self, picture, *, k=24):
        self._check(k)
        if not picture.startswith(b"\x89PNG"):
            raise BadRequest("picture", "This is no picture that can be read.")
        return self._answer(list(self.things)[:k], "Looks like your picture", "picture")

    def search_pictures(self, words, *, k=24):
        return self.search(words, k=k)

    @property
    def listener(self):
        return self

    def ways(self):
        self._check()
        return ["picture", "voice"]

    def transcribe(self, audio):
        if audio.startswith(b"\x1aE\xdf\xa3"):  # WebM, as browsers record
            return Heard("cake stand", "en", 1.5)
        if not audio.startswith(b"said "):
            raise BadRequest("audio", "This is no recording that can be read.")
        return Heard(audio[5:].decode(), "en", 1.5)

    def search_by_voice(self, audio, **page):
        heard = self.transcribe(audio)
        return replace(self.search(heard.text, **page), heard=heard)

    def suggest(self, prefix, *, k=8):
        self._check(k)
        titles = [thing["title"] for thing in self.things.values()]
        found = [title for title in titles if prefix.lower() in title.lower()][:k]
        return [{"text": title.lower(), "kind": "product"} for title in found]

    def recommend(
        self,
        placement,
        *,
        k=12,
        user_id=None,
        visitor_id=None,
        items=None,
        exclude=None,
        category="",
    ):
        self._check(k)
        self.category = category
        if placement not in self.placements():
            raise NotFound(f"There is no placement '{placement}'. Known: home.")
        for item in items or ():
            self.product(item)
        past = self.state.history(user_id, visitor_id)
        history = [item for item, _, _ in past]
        dismissed = [item for item, name, _ in past if name == "dismiss"]
        if placement == "buy_again" and not history:
            return self._answer([], "", "repeat")
        seed = (items or history)[-1:] or ["22040"]
        kind, title = self.things[seed[0]].get("product_type"), self.things[seed[0]]["title"]
        hidden = {*(exclude or ()), *seed, *dismissed}
        near = [n for n, thing in self.things.items() if thing.get("product_type") == kind]
        rest = [name for name in self.things if name not in near]
        page = [name for name in near + rest if name not in hidden][:k]
        reason = f"Because you looked at {title}" if history else "Popular in this shop"
        return self._answer(page, reason, "item_knn")

    def product(self, item_id):
        self._check()
        if item_id not in self.things:
            raise NotFound(f"There is no product '{item_id[:80]}'.")
        return {"id": item_id, **self.things[item_id]}

    def products(self, *, k=24, offset=0, filters=None):
        return self.search("", k=k, offset=offset, filters=filters)

    def put_products(self, products):
        for number, given in enumerate(products):
            if "id" not in given:
                raise BadRequest(f"products[{number}].id", "A product needs an id.")
            self.things[given["id"]] = {**self.things["22000"], **given}
        return len(products)

    def add_events(self, events):
        self._check()
        rows = normalise(events, datetime.now(UTC), self.things.__contains__, currency="GBP")
        done = self.log.append(rows)
        self.state.append(done.rows)
        return Receipt(done.events, done.duplicates)

    def shoppers(self, k=12):
        self._check()
        notes = ["Buys candles", "Buys for the kitchen", "Buys toys"]
        return [
            {"user_id": f"{17850 + n}", "events": 40 * n + 9, "note": note}
            for n, note in enumerate(notes)
        ][:k]

    def history(self, user_id, visitor_id=None, k=12):
        steps = self.state.recent(user_id, visitor_id, k)
        return [
            {"item_id": item, "title": self.things[item]["title"], "event_name": name, "time": at}
            for item, name, at in steps
        ]

    def ready(self):
        self._check()
        return {
            "bundle": "7",
            "products": len(self.things),
            "shop_time": datetime.now(UTC).isoformat(),
        }

    def placements(self):
        return ["home", "buy_again", "trending", "similar", "bought_together"]

    def close(self):
        self.log.close()
        self.closed = True


if __name__ == "__main__":
    from shopkeeper.serving.app import run

    made = FakeShop(Path(sys.argv[1]))
    made.config.serving.origins = tuple(sys.argv[2:])
    run(made, announce=lambda address: print(address, flush=True))
