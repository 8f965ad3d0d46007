"""How well does a search bear hurried shoppers? Asks the same queries mistyped, cut and turned.

Typing errors are those of a hand on a keyboard (`training.augment_texts`), one in each word that is
hit. Every query keeps its right products, so the loss is by query. Knows no index and no shop.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from shopkeeper.evaluation.bootstrap import paired_difference
from shopkeeper.evaluation.judged import Judged, quality
from shopkeeper.training.augment_texts import Noise, mistyped, noisy_text

Change = Callable[[str, np.random.Generator], str]
Synonyms = Mapping[str, Sequence[str]]

TYPOS = (0.05, 0.1, 0.2)
"""Shares of the words that are mistyped."""
DROPPED = 0.2
"""Chance of a word to be left out."""
_UNTYPED = Noise(neighbour=0.0, swap=0.0, drop=0.0, double=0.0, word_drop=DROPPED)


def kinds(synonyms: Synonyms | None = None, keyboard: str = "qwerty") -> dict[str, Change]:
    """Name what may happen to a query.

    Args:
        synonyms: Other words by word, in small letters; without them none are exchanged.
        keyboard: Whose neighbouring keys are hit; a name of `augment_texts.KEYBOARDS`.

    Returns:
        What changes a query, by a name that people understand.
    """
    found: dict[str, Change] = {
        f"typos in {share:.0%} of words": _typos(share, keyboard) for share in TYPOS
    }
    found["words left out"] = lambda text, random: noisy_text(text, _UNTYPED, random)
    found["words in another order"] = _turned
    if synonyms:
        found["other words"] = lambda text, random: _exchanged(text, synonyms, random)
    return found


def noisy(judged: Judged, change: Change, seed: int = 0) -> Judged:
    """Change every query; their right products stay.

    Args:
        judged: What was asked, and what is right.
        change: A value of `kinds`.
        seed: The change of a query depends on this and on its place alone.

    Returns:
        Queries under the same ids.
    """
    texts = {
        one: change(text, np.random.default_rng((seed, place)))
        for place, (one, text) in enumerate(judged.queries.items())
    }
    return Judged(judged.products, texts, judged.grades)


def robustness(
    judged: Judged,
    ask: Callable[[Judged], Mapping[str, Sequence[str]]],
    changes: Mapping[str, Change],
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measure what a search loses when queries change.

    Args:
        judged: What was asked, and what is right.
        ask: Returns the products found for each query, best first.
        changes: What may happen to a query, from `kinds`.
        seed: Decides every change.

    Returns:
        A row for each change: `noise`, `changed` (share of the queries that are not as before),
        `ndcg@10`, `loss` (beside the clean queries), and `low` and `high` of that loss with 95 %
        confidence, by query.
    """
    clean = quality(judged, ask(judged))["ndcg@10"].to_numpy()
    rows = []
    for name, change in changes.items():
        turned = noisy(judged, change, seed)
        found = quality(turned, ask(turned))["ndcg@10"].to_numpy()
        loss = paired_difference(clean, found)
        others = [turned.queries[one] != text for one, text in judged.queries.items()]
        rows.append(
            {
                "noise": name, "changed": float(np.mean(others)), "ndcg@10": float(found.mean()),
                "loss": loss.mean, "low": loss.low, "high": loss.high,
            }
        )  # fmt: skip
    return rows


def _typos(share: float, keyboard: str) -> Change:
    def change(text: str, random: np.random.Generator) -> str:
        hit = random.random(len(words := text.split(" "))) < share
        return " ".join(
            mistyped(word, random, keyboard) if wrong else word
            for word, wrong in zip(words, hit, strict=True)
        )

    return change


def _turned(text: str, random: np.random.Generator) -> str:
    return " ".join(random.permutation(text.split(" ")).tolist())


def _exchanged(text: str, synonyms: Synonyms, random: np.random.Generator) -> str:
    """Put another word for every one that has any; a number and its unit may be one word."""

    def other(found: re.Match[str]) -> str:
        known = synonyms.get(found[0].casefold(), ())
        return known[int(random.integers(len(known)))] if known else found[0]

    return re.sub(r"[^\W\d_]+", other, text)
