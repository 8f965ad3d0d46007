"""The shapes of HTTP requests and answers; nothing inside the shop uses them."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from shopkeeper.engine.answers import Answer, Result
from shopkeeper.search.understanding import Understood

PERSON_CHARS_MAX = 200
CATEGORY_CHARS_MAX = 500
ITEMS_MAX = 500

Id = Annotated[str, Field(min_length=1, max_length=PERSON_CHARS_MAX)]


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
    category: str = Field(
        "",
        max_length=CATEGORY_CHARS_MAX,
        description="Where somebody came in of whom nothing else is known.",
        examples=["Home > Lamps"],
    )


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


def answered(answer: Answer, notes: list[str] | None = None) -> Json:
    """Return an answer as JSON, its number also in the header.

    Args:
        answer: What the shop said.
        notes: Said before the answer's own notes.

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
    if answer.heard:
        content["heard"] = asdict(answer.heard)
    return Json(content, headers={"x-request-id": answer.request_id})
