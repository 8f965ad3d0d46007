"""The shapes of HTTP requests and answers; nothing inside the shop uses them."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from shopkeeper.engine.answers import Answer, Result
from shopkeeper.search.understanding import Understood

PERSON_CHARS_MAX = 200
ITEMS_MAX = 500

Id = Annotated[str, Field(min_length=1, max_length=PERSON_CHARS_MAX)]
Debug = Literal["", "timing"]


class ProductOut(BaseModel, extra="allow"):
    """A product by the names of the Merchant Center feed."""

    id: str
    title: str
    price: str | None = Field(None, description="Decimal, in `currency`.", examples=["2.55"])
    currency: str | None = Field(None, examples=["GBP"])
    availability: str | None = Field(None, examples=["in_stock"])
    product_type: str | None = Field(None, examples=["Home > Candles"])
    brand: str | None = None


class ResultOut(ProductOut):
    """A product of an answer, with how it came there."""

    score: float
    rank: int = Field(description="From 1.")
    source: str = Field(description="What proposed it.", examples=["repeat"])
    reason: str = Field(description="One sentence for the shopper.")


class FacetValue(BaseModel):
    """A value of an attribute and how many products have it."""

    value: str
    count: int


class ChipOut(BaseModel):
    """One thing that was understood."""

    kind: str = Field(examples=["spelling", "price", "brand"])
    text: str = Field(description="What a page shows.", examples=["mgu → mug"])
    key: str = Field(description="Send it back in `ignore` to undo it.", examples=["spelling:mgu"])


class UnderstoodOut(BaseModel):
    """How a query was read."""

    text: str = Field(description="The query as it was meant, without the words of a price.")
    filters: dict[str, list[str]]
    price_min: float | None
    price_max: float | None
    intent: str = Field(description="Empty where none is known.", examples=["product", "service"])
    intent_chance: float = Field(description="From 0 to 1.")
    chips: list[ChipOut]


class AnswerOut(BaseModel):
    """A page of products."""

    request_id: str = Field(description="Send it back in events, as `request_id`.")
    bundle: str = Field(description="Version of the models that answered.")
    took_ms: float
    total: int
    results: list[ResultOut]
    notes: list[str]
    facets: dict[str, list[FacetValue]]
    understood: UnderstoodOut | None = Field(None, description="For searches.")
    fallback: str | None = Field(
        None,
        description="What was given up so that anything can be shown.",
        examples=["sources", "filters", "policies"],
    )
    timings: dict[str, float] | None = Field(
        None, description="Milliseconds by stage, for `debug=timing`."
    )


class HeardOut(BaseModel):
    """What was said in a recording."""

    text: str
    language: str = Field(description="ISO 639-1.", examples=["en"])
    seconds: float = Field(description="Length of the recording.")


class VoiceOut(AnswerOut):
    """A page of products, and the words they were found by."""

    heard: HeardOut


class Suggestion(BaseModel):
    """One completion of what was typed."""

    text: str
    kind: str = Field(examples=["query", "category", "product"])


class SuggestOut(BaseModel):
    """Completions, best first."""

    request_id: str
    suggestions: list[Suggestion]


class EventsIn(BaseModel):
    """A batch of events by GA4's names; taken whole or refused whole."""

    events: list[dict[str, Any]] = Field(
        examples=[
            [
                {
                    "event_name": "add_to_cart",
                    "event_id": "5f0c",
                    "visitor_id": "v-81",
                    "time": "2026-01-31T12:00:00Z",
                    "currency": "GBP",
                    "items": [{"item_id": "85123A", "quantity": 2, "price": 2.55}],
                }
            ]
        ]
    )


class EventsOut(BaseModel):
    """What became of a batch. Events are on disk when this is sent."""

    request_id: str
    accepted: int
    duplicates: int = Field(description="Known by their `event_id`; they changed nothing.")


class ProductsIn(BaseModel):
    """Products to add or change."""

    products: list[dict[str, Any]] = Field(
        examples=[
            [{"id": "85123A", "title": "White heart tea light", "price": "2.55", "currency": "GBP"}]
        ]
    )


class ProductsOut(BaseModel):
    """How many products were written."""

    request_id: str
    accepted: int


class RecommendIn(BaseModel):
    """Who asks, and about what."""

    k: int | None = Field(None, ge=1, examples=[12])
    user_id: Id | None = None
    visitor_id: Id | None = None
    items: list[Id] = Field([], max_length=ITEMS_MAX, description="The product or the cart.")
    exclude: list[Id] = Field([], max_length=ITEMS_MAX, description="Products not to show.")
    category: str = Field("", max_length=500, description="Only products of it, and below it.")
    country: str = Field("", max_length=100, description="Where what is hot is counted.")
    window_days: float = Field(0, ge=0, le=3650, description="The window it is counted in.")
    segments: list[Id] = Field([], max_length=50, description="Groups of yours, for rules.")
    debug: Debug = Field("", description="`timing` adds the time of each stage.")


class RulesIn(BaseModel):
    """Rules to add, or to put in the place of those of their ids; all or none."""

    rules: list[dict[str, Any]] = Field(
        examples=[
            [
                {
                    "id": "advent",
                    "action": "pin",
                    "place": 1,
                    "target": {"items": ["85123A"]},
                    "when": {"placements": ["home", "search"], "contains": "tea light"},
                    "end": "2026-12-24T00:00:00Z",
                }
            ]
        ]
    )
    force: bool = Field(False, description="Take rules that contradict others, too.")


class RuleOut(BaseModel, extra="allow"):
    """A rule, and what becomes of it."""

    id: str
    action: str = Field(examples=["pin", "boost", "bury", "hide", "filter"])
    target: dict[str, Any]
    does: str = Field(description="In words.")
    active: bool = Field(description="Whether it is on, and the shop's time in its window.")
    warnings: list[str]


class RulesOut(BaseModel):
    """Rules, those that hold first."""

    request_id: str
    rules: list[RuleOut]


class RulesPutOut(BaseModel):
    """What became of rules. They hold in the next answer."""

    request_id: str
    accepted: int
    conflicts: list[str]


class RulesGoneOut(BaseModel):
    """How many rules were deleted."""

    request_id: str
    removed: int


class ExplainedOut(BaseModel, extra="allow"):
    """Why an answer is as it is, or why a product is not in it."""

    request_id: str


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = Field(None, description="What to change.", examples=["k"])


class Json(JSONResponse):
    """JSON that can tell times, in ISO 8601."""

    def render(self, content: Any) -> bytes:
        """Return the bytes of `content`."""
        return json.dumps(
            content,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=datetime.isoformat,
        ).encode()


def result(found: Result) -> dict[str, Any]:
    """Return one result as JSON: the product's fields and how it came there."""
    how = {"score": found.score, "rank": found.rank, "source": found.source}
    return {**found.product, "id": found.id, **how, "reason": found.reason}


def understood(found: Understood | None) -> dict[str, Any] | None:
    """Return how a query was read as JSON."""
    if found is None:
        return None
    return {
        "text": found.text,
        "filters": found.filters,
        "price_min": found.price_min,
        "price_max": found.price_max,
        "intent": found.intent,
        "intent_chance": found.intent_chance,
        "chips": [{"kind": c.kind, "text": c.text, "key": c.key} for c in found.chips],
    }


def answered(answer: Answer, notes: list[str] | None = None, debug: str = "") -> Json:
    """Return an answer as JSON, its number also in the header.

    Args:
        answer: What the shop said.
        notes: Said before the answer's own notes.
        debug: `timing` to tell the time of each stage.

    Returns:
        The response in the shape of `AnswerOut`; built by hand, since checking our own answer
        against its model would cost more than a millisecond a page.
    """
    content: dict[str, Any] = {
        "request_id": answer.request_id,
        "bundle": answer.bundle,
        "took_ms": answer.took_ms,
        "total": answer.total,
        "results": [result(found) for found in answer.results],
        "notes": [*(notes or []), *answer.notes],
        "facets": {
            name: [{"value": value, "count": count} for value, count in values]
            for name, values in answer.facets.items()
        },
        "understood": understood(answer.understood),
    }
    if answer.fallback:
        content["fallback"] = answer.fallback
    if debug:
        content["timings"] = {name: round(ms, 3) for name, ms in answer.timings.items()}
    if answer.heard:
        content["heard"] = asdict(answer.heard)
    return Json(content, headers={"x-request-id": answer.request_id})
