"""Says in one sentence why a product is on a shopper's page.

It reads the `source` and `because` that come with each product and guesses nothing. Text is plain:
whoever shows it as HTML escapes it.
"""

from collections.abc import Iterable, Mapping

TITLE_MAX = 40
"""Letters of a title that are shown."""

ALONE = {
    "popular": "Popular this month",
    "trending": "Trending this week",
    "repeat": "You bought this before",
    "item_knn": "Liked by shoppers with your taste",
    "ease": "Picked for you",
    "sequential": "Picked from your recent shopping",
    "bought_together": "Often bought together",
    "content": "Similar to what you like",
    "best_sellers": "Best seller",
    "new_arrivals": "New in this shop",
    "rule": "Chosen by the shop",
    "exploration": "Few have found this yet",
}
"""What to say by source where no product led here."""

OFTEN = "You buy this often"
"""What to say of `repeat` where the shopper bought the product more than once."""

FOR_ALL = {"popular", "trending", "best_sellers", "new_arrivals", "rule", "exploration"}
"""Sources that show everybody the same."""

LED = {
    "bought_together": "Goes with {title}",
    "content": "Similar to {title}",
}
"""What to say by source where a product led here that the shopper did not buy."""

OTHERWISE = "Picked for you"
"""What to say of a source that has no words of its own."""


def reasons(
    page: Iterable[tuple[str, str | None, str | None]],
    titles: Mapping[str, str],
    bought: Mapping[str, int] | None = None,
) -> list[str]:
    """Give one sentence for each product of a page.

    Args:
        page: Product, source and the product that led here, as in `schema.RESULTS`.
        titles: Title by product; one without a title is not named.
        bought: How often the shopper bought each product before.

    Returns:
        Sentences in the order of the page, none empty.
    """
    bought = bought or {}
    return [_reason(item, source or "", because, titles, bought) for item, source, because in page]


def shortened(title: str) -> str:
    """Return a title of at most `TITLE_MAX` letters, cut between words where it can be."""
    title = " ".join(title.split())
    if len(title) <= TITLE_MAX:
        return title
    cut = title[: TITLE_MAX - 1]
    head = cut.rsplit(" ", 1)[0] if " " in cut else cut
    return f"{head.rstrip(' ,.;:-')}…"


def _reason(
    item: str,
    source: str,
    because: str | None,
    titles: Mapping[str, str],
    bought: Mapping[str, int],
) -> str:
    if source == "repeat" and bought.get(item, 0) > 1:
        return OFTEN
    title = shortened(titles.get(because, "") or "") if because else ""
    if source == "repeat" or because == item or not title or source in FOR_ALL:
        return ALONE.get(source, OTHERWISE)
    if source in LED:
        return LED[source].format(title=title)
    if because in bought:
        return f"Because you bought {title}"
    return f"Because you looked at {title}"
