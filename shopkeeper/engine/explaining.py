"""Why an answer is as it is: who proposed a product, on what evidence, what weighed, who moved it.

What rules and policies did was written down when the page was made; what models say is asked of
them again, which gives the same as long as their bundle answers. Tells those who hold an answer's
request id what was known of the shopper, and writes nothing of it anywhere else.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from shopkeeper.arrays import Asked, Picks
from shopkeeper.engine.candidates import looked_at
from shopkeeper.engine.live import Live
from shopkeeper.engine.objective import neutral
from shopkeeper.engine.ranked import Ranked, without
from shopkeeper.engine.trace import Step, Trace
from shopkeeper.explain.evidence import evidence

FACTORS = 6
"""So many features are named for a product."""
OTHER_BUNDLE = "New models were published since; what the old ones weighed is no longer known."
BANNED = "The request itself rules it out: it is at hand, in the cart, or was excluded."
UNLEARNED = "The models have not learned of it: it came after the last `shopkeeper train`."
UNFOUND = "None of the recommenders of this place proposed it."
SEARCH_DEPTH = 1_000


class Explainer:
    """Explains one answer."""

    def __init__(self, live: Live, trace: Trace) -> None:
        self._live, self._trace = live, trace
        self._same = live.version == trace.bundle and trace.asked is not None
        self._ranked: Ranked | None = None

    def page(self, rescore: bool = False) -> dict[str, Any]:
        """Explain every product of the page.

        Args:
            rescore: Also ask again without each piece of evidence.

        Returns:
            `placement`, `bundle`, `timings` in milliseconds, `candidates`, `steps` (what each stage
            dropped and moved), `notes`, and `results`: each as `_result` says.
        """
        trace = self._trace
        return {
            "placement": trace.placement,
            "query": trace.query,
            "bundle": trace.bundle,
            "timings": {name: round(ms, 3) for name, ms in trace.laps.ms.items()},
            "candidates": trace.candidates,
            "objective": self._objective(),
            "steps": [self._step(step) for step in trace.steps],
            "notes": [OTHER_BUNDLE] if trace.asked is not None and not self._same else [],
            "results": [self._result(place, rescore) for place in range(len(trace.items))],
        }

    def product(self, item_id: str, rescore: bool = False) -> dict[str, Any]:
        """Explain one product: why it is on the page, or at which stage it dropped out and why.

        Args:
            item_id: The product.
            rescore: As for `page`.

        Returns:
            `item_id`, `shown`, and what `_result` says, or `stage` and `why`.

        Raises:
            NotFound: The shop has no such product.
        """
        self._live.catalogue.get(item_id)
        if item_id in self._trace.items:
            found = self._result(list(self._trace.items).index(item_id), rescore)
            return {"item_id": item_id, "shown": True, **found}
        stage, why = self._dropped(item_id)
        found = {"item_id": item_id, "shown": False, "stage": stage, "why": why}
        return found | {"proposed_by": self._proposed_by(item_id)}

    def _result(self, place: int, rescore: bool) -> dict[str, Any]:
        """Explain a product of the page.

        `rank`, `source`, `reason`; `proposed_by`, each recommender with its rank and score;
        `evidence` with its date; `factors`, the features that weighed most; `moved_by`.
        """
        trace = self._trace
        item, because = trace.items[place], trace.because[place]
        found: dict[str, Any] = {
            "item_id": item,
            "rank": trace.first_rank + place,
            "source": trace.sources[place],
            "reason": trace.reasons[place],
            "proposed_by": self._proposed_by(item),
            "evidence": [],
            "factors": [],
            "moved_by": self._moved_by(item),
        }
        if self._same:
            ranked = self._models()
            found["evidence"] = self._evidence(item, because, trace.sources[place], rescore)
            found["factors"] = ranked.factors(item, FACTORS) if trace.ranked else []
        return found

    def _models(self) -> Ranked:
        if self._ranked is None:
            assert self._trace.asked is not None
            self._ranked = Ranked(self._live, self._trace.asked)
        return self._ranked

    def _objective(self) -> dict[str, float]:
        place = self._trace.place
        return {} if place is None or neutral(place.objective) else dict(place.objective)

    def _evidence(
        self, item: str, because: str | None, source: str, rescore: bool
    ) -> list[dict[str, Any]]:
        """Return what of the shopper's past led to a product, with its date."""
        asked = self._trace.asked
        assert asked is not None
        if because is None:
            return []
        titles = {k: row["title"] or k for k, row in self._live.products([because]).items()}
        rows = evidence(asked, because, titles)
        if rescore and rows:
            before, after = self._rescored(item, because, source)
            lower = None if before is None else after is None or after < before
            rows[0] |= {"score": before, "score_without": after, "lowers": lower}
        return rows

    def _rescored(self, item: str, because: str, source: str) -> tuple[float | None, float | None]:
        """Return a product's score, and the score as if the evidence had never been."""
        asked, ranked = self._trace.asked, self._models()
        assert asked is not None
        own = ranked.score(item) if self._trace.ranked else None
        if own is not None:
            return own, ranked.without(because).score(item)
        part = self._live.recommenders.get(source)
        if part is None:
            return None, None
        (row,) = asked.ids.rows([because]).tolist()
        # What was looked at in this visit led there as a product at hand does.
        near = _at_hand(asked, row) if row in looked_at(asked)[1] else asked
        pair = np.zeros(1, np.int64), asked.ids.rows([item])
        with self._live.lock:
            scores = [float(part.judge(one, *pair)[0]) for one in (near, without(near, row))]
        before, after = (None if np.isnan(score) else score for score in scores)
        return before, after

    def _proposed_by(self, item: str) -> list[dict[str, Any]]:
        """Name the recommenders that proposed a product, with rank and score."""
        trace = self._trace
        if trace.asked is None:
            return []
        found = self._models().proposed_by(item) if trace.ranked and self._same else []
        for one in trace.lists[trace.ranked :]:
            found += _placed(one, item)
        return list({row["recommender"]: row for row in found[::-1]}.values())[::-1]

    def _moved_by(self, item: str) -> list[dict[str, Any]]:
        """Name what moved a product beside the others: rules, and policies that reorder."""
        found = [
            {"stage": "rules", "rule": pin.rule.id, "why": pin.rule.said(), "to": pin.place}
            for pin in self._trace.pins
            if pin.item == item
        ]
        for step in self._trace.steps:
            at = self._place_in(step, item)
            if at is None or at not in step.kept:
                continue
            before = int((np.sort(step.kept) < at).sum()) + 1
            after = int(np.flatnonzero(step.kept == at)[0]) + 1
            if at in step.rules or (before != after and not step.rules):
                rule = step.rules.get(at)
                said = {"rule": rule.id} if rule else {}
                why = rule.said() if rule else self._said(step.name)
                found.append({"stage": step.name, **said, "why": why, "from": before, "to": after})
        return found

    def _dropped(self, item: str) -> tuple[str, str]:
        """Return the stage at which a product dropped out, and why."""
        trace = self._trace
        if item in trace.banned:
            return "request", BANNED
        if item in trace.unpinned:
            rule = trace.unpinned[item]
            return (
                "rules",
                f"Rule '{rule}' pins it, but it is sold out or the shopper dismissed it.",
            )
        for step in trace.steps:
            at = self._place_in(step, item)
            if at is not None and at not in step.kept:
                return step.name, self._why(step, at, item)
        if trace.asked is None:
            return self._unfound(item)
        if trace.asked.ids.rows([item])[0] < 0:
            return "models", UNLEARNED
        if trace.ranked and self._same and (place := self._models().place(item)):
            return "ranker", (
                f"The ranker put it at place {place[0]:,} of {place[1]:,}, below all looked at."
            )
        return "candidates", UNFOUND

    def _unfound(self, item: str) -> tuple[str, str]:
        """Say why a search shows a product on another page, or on none."""
        assert self._trace.again is not None
        shown = range(self._trace.first_rank, self._trace.first_rank + len(self._trace.items))
        page = self._trace.again(self._live.now, k=SEARCH_DEPTH, offset=0)
        if item in page.ids:
            at = page.ids.index(item) + 1
            pages = f"this page shows {shown.start} to {shown.stop - 1}"
            return "page", f"It is found at place {at:,}; {pages}."
        return (
            "search",
            "The words do not find it, it does not pass the filters, or a variant does.",
        )

    def _why(self, step: Step, at: int, item: str) -> str:
        """Say in a sentence why a step dropped a product."""
        if at in step.rules:
            rule = step.rules[at]
            note = f" ({rule.note})" if rule.note else ""
            return f"Rule '{rule.id}': {rule.said()}{note}."
        if step.name == "page":
            return f"It came to place {at + 1:,}, and the page ends at {len(step.kept)}."
        if step.name == "policy stock":
            said = self._live.catalogue.get(item)["availability"]
            return f"{self._said(step.name)} It is '{said}' now."
        return self._said(step.name)

    def _said(self, step: str) -> str:
        """Return what a step does: the first line that its policy says of itself."""
        name = step.removeprefix("policy ")
        if name != step and name in self._live.policies:
            return str(type(self._live.policies[name]).__doc__).strip().splitlines()[0]
        return "It does not pass the filters of this place." if step == "filters" else step

    def _place_in(self, step: Step, item: str) -> int | None:
        """Return where a product stood before a step, None if it had dropped out already."""
        if self._trace.asked is None:
            return list(step.items).index(item) if item in step.items else None
        (row,) = self._trace.asked.ids.rows([item]).tolist()
        places = np.flatnonzero(np.asarray(step.items) == row)
        return int(places[0]) if row >= 0 and len(places) else None

    def _step(self, step: Step) -> dict[str, Any]:
        rules = sorted({rule.id for rule in step.rules.values()})
        found = {"stage": step.name, "before": len(step.items), "after": len(step.kept)}
        return found | ({"rules": rules} if rules else {})


def _placed(one: Picks, item: str) -> list[dict[str, Any]]:
    """Return where a list has a product."""
    at = np.flatnonzero(one.item_E == one.ids.rows([item])[0])
    return [
        {
            "recommender": one.sources[one.source_E[place]],
            "rank": place + 1,
            "score": round(float(one.score_E[place]), 6),
        }
        for place in at[:1].tolist()
    ]


def _at_hand(asked: Asked, row: int) -> Asked:
    return replace(
        asked,
        owner_S=np.zeros(1, np.int64),
        item_S=np.array([row]),
        seeded_B=np.ones(1, np.bool_),
        _memo={},
    )
