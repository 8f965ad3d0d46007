"""Histories changed a little, so that a model learns what does not hang on one order or product.

Crop, mask and reorder of CL4SRec (Xie et al., ICDE 2022) and the substitution of CoSeRec (Liu et
al., 2021). We differ in what is foretold: always what truly came next in the log, asked only from
places that no later moment was moved before, so nothing after a target can leak into its history.
Knows nothing of what makes products alike: who knows hands it in. Needs no torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shopkeeper.arrays import Rows
from shopkeeper.errors import BadConfig, unknown

# B histories, N moments, E events, S substitutes


@dataclass(frozen=True)
class Sequences:
    """B histories laid end to end, oldest moment first: N moments with E events."""

    item_E: Rows
    """Product row."""
    event_E: Rows
    """Which event of the log it is."""
    moment_E: Rows
    """Place where the event stands, in [0, N), ascending."""
    moment_N: Rows
    """Which moment of the log gives this place its time; the one after it is to be foretold."""
    asked_N: NDArray[np.bool_]
    """Whether what came next may be asked from this place."""
    start_B1: Rows
    """First place of each history, then N; a history without moments is allowed."""

    @property
    def owner_N(self) -> Rows:
        """The history of each place, in [0, B)."""
        return np.repeat(np.arange(len(self.start_B1) - 1), np.diff(self.start_B1))


Similar = Callable[[Rows], Rows]
"""What may stand for products: rows [E] to rows [E, S], -1 after the last of each."""

Augment = Callable[[Sequences, np.random.Generator], Sequences]


def crop(past: Sequences, random: np.random.Generator, share: float) -> Sequences:
    """Keep one run of each history, with at least one place that is asked where there was one.

    Args:
        past: Histories.
        random: Decides how long a run is and where it begins.
        share: Of the moments, so many are cut away at most, in [0, 1).

    Returns:
        Histories as many as before, none of them emptied.
    """
    sizes, owner_N = np.diff(past.start_B1), past.owner_N
    kept = sizes - np.floor(random.random(len(sizes)) * share * sizes).astype(np.int64)
    first = np.floor(random.random(len(sizes)) * (sizes - kept + 1)).astype(np.int64)
    # Where the run lost every asked place, the newest one is taken, and else the whole history.
    first = np.where(_any_asked(past, first, kept), first, sizes - kept)
    kept = np.where(_any_asked(past, first, kept), kept, sizes)
    first = np.minimum(first, sizes - kept)
    place_N = np.arange(len(owner_N)) - past.start_B1[owner_N]
    stays_N = (place_N >= first[owner_N]) & (place_N < (first + kept)[owner_N])
    stays_E = stays_N[past.moment_E]
    return Sequences(
        item_E=past.item_E[stays_E],
        event_E=past.event_E[stays_E],
        moment_E=(np.cumsum(stays_N) - 1)[past.moment_E[stays_E]],
        moment_N=past.moment_N[stays_N],
        asked_N=past.asked_N[stays_N],
        start_B1=np.concatenate([[0], np.cumsum(kept)]),
    )


def mask(past: Sequences, random: np.random.Generator, share: float) -> Sequences:
    """Hide events, each by the chance `share` in [0, 1); their moments stay, empty perhaps."""
    seen_E = random.random(len(past.item_E)) >= share
    return replace(
        past,
        item_E=past.item_E[seen_E],
        event_E=past.event_E[seen_E],
        moment_E=past.moment_E[seen_E],
    )


def reorder(past: Sequences, random: np.random.Generator, share: float) -> Sequences:
    """Shuffle a run of each history: what was done moves, the times of the places stay.

    Args:
        past: Histories.
        random: Decides where the run begins and how it is shuffled.
        share: Length of the run in shares of the history, in [0, 1); rounded up, from 2 moments.

    Returns:
        The same events; inside the run only its last place is still asked.
    """
    sizes, owner_N = np.diff(past.start_B1), past.owner_N
    length = np.minimum(np.maximum(np.ceil(share * sizes), 2 * (share > 0)), sizes)
    length = length.astype(np.int64)
    first = np.floor(random.random(len(sizes)) * (sizes - length + 1)).astype(np.int64)
    place_N = np.arange(len(owner_N)) - past.start_B1[owner_N]
    first_N, end_N = first[owner_N], (first + length)[owner_N]
    inside_N = (place_N >= first_N) & (place_N < end_N)
    key_N = np.where(inside_N, first_N, place_N)
    order_N = np.lexsort((random.random(len(owner_N)), key_N, owner_N))
    moved_N = np.empty_like(order_N)
    moved_N[order_N] = np.arange(len(order_N))
    moment_E = moved_N[past.moment_E]
    order_E = np.argsort(moment_E, kind="stable")
    return replace(
        past,
        item_E=past.item_E[order_E],
        event_E=past.event_E[order_E],
        moment_E=moment_E[order_E],
        asked_N=past.asked_N & ~(inside_N & (place_N < end_N - 1)),
    )


def substitute(
    past: Sequences, random: np.random.Generator, share: float, similar: Similar
) -> Sequences:
    """Put a similar product in the place of some, each by the chance `share` in [0, 1).

    Args:
        past: Histories.
        random: Decides which events, and which of their substitutes.
        share: The chance of an event.
        similar: What may stand for a product; one without substitutes stays.

    Returns:
        The same moments.
    """
    chosen = np.flatnonzero(random.random(len(past.item_E)) < share)
    options_ES = similar(past.item_E[chosen])
    many = (options_ES >= 0).sum(axis=1)
    pick = np.floor(random.random(len(chosen)) * many).astype(np.int64)
    has = np.flatnonzero(many)
    item_E = past.item_E.copy()
    item_E[chosen[has]] = options_ES[has, pick[has]]
    return replace(past, item_E=item_E)


AUGMENTERS: dict[str, Callable[..., Sequences]] = {
    "crop": crop,
    "mask": mask,
    "reorder": reorder,
    "substitute": substitute,
}
"""Each by its name in a setting."""


def augmenter(names: Sequence[str], share: float, similar: Similar | None = None) -> Augment:
    """Join augmentations into one, applied in the order of their names.

    Args:
        names: Of `AUGMENTERS`.
        share: How much each of them touches, in [0, 1).
        similar: What may stand for a product; `substitute` needs it.

    Returns:
        A function of histories and of a generator, which decides every chance.

    Raises:
        BadConfig: A name is unknown, or `substitute` is asked for without substitutes.
    """
    steps: list[Augment] = []
    for name in names:
        if name not in AUGMENTERS:
            raise unknown("augmentation", name, AUGMENTERS)
        if name == "substitute" and similar is None:
            raise BadConfig(
                "The augmentation 'substitute' knows no similar products: the products came "
                "without vectors. Leave it out, or give products with a `vector` column."
            )
        more = {"similar": similar} if name == "substitute" else {}
        steps.append(partial(AUGMENTERS[name], share=share, **more))

    def apply(past: Sequences, random: np.random.Generator) -> Sequences:
        for step in steps:
            past = step(past, random)
        return past

    return apply


def _any_asked(past: Sequences, first: Rows, many: Rows) -> NDArray[np.bool_]:
    """Tell of each history whether any of `many` places from `first` on is asked."""
    so_far = np.concatenate([[0], np.cumsum(past.asked_N)])
    begin = past.start_B1[:-1] + first
    found: NDArray[np.bool_] = so_far[begin + many] > so_far[begin]
    return found
