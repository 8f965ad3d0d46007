"""Reads `filter=brand:Acme` from a query string."""

from collections.abc import Sequence

from shopkeeper.errors import BadRequest

FILTERS_MAX = 30
FILTER_CHARS_MAX = 300
QUERY_CHARS_MAX = 300


def parse(given: Sequence[str]) -> dict[str, list[str]]:
    """Return the wanted values by attribute.

    Args:
        given: `attribute:value`, repeated; values of one attribute are alternatives.

    Returns:
        Values by attribute in the order given, each once.

    Raises:
        BadRequest: Too many, too long, or without a colon.
    """
    if len(given) > FILTERS_MAX:
        raise BadRequest("filter", f"At most {FILTERS_MAX} filters are allowed, got {len(given)}.")
    found: dict[str, list[str]] = {}
    for text in given:
        attribute, colon, value = text.partition(":")
        if not (attribute.strip() and colon and value.strip()) or len(text) > FILTER_CHARS_MAX:
            raise BadRequest(
                "filter",
                "A filter is attribute:value such as brand:Acme, "
                f"of at most {FILTER_CHARS_MAX} characters.",
            )
        values = found.setdefault(attribute.strip(), [])
        if value.strip() not in values:
            values.append(value.strip())
    return found


def cut(query: str) -> tuple[str, list[str]]:
    """Return a query of bearable length, and what to say where it was cut."""
    if len(query) <= QUERY_CHARS_MAX:
        return query, []
    note = f"Only the first {QUERY_CHARS_MAX} characters of your search were used."
    return query[:QUERY_CHARS_MAX], [note]
