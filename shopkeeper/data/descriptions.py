"""Are these words the name of a product, or a note that a clerk left in its place?

Knows nothing of prices and stock; looks at words alone.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis

_NOTES = (
    "damage[sd]?|checks?|checked|found|lost|missing|adjust(ment)?s?|amazon|dotcom|ebay|test|tests"
    "|samples?|faulty|broken|smashed|crushed|cracked|mouldy|rusty|display|showroom|returned"
    "|counted|mailout|given away|thrown away|throw away|wrong code|no stock|unsaleable"
)
_ALONE = rf"(?i)^\W*({_NOTES})\W*$"
_OPENING = (
    rf"(?i)^\W*({_NOTES}|unsaleable|wrong|wrongly|incorrect|incorrectly"
    "|water damage|wet|sold|mix up|mixed up|label mix|code mix"
    r"|stock|temp|reverse|taig|barcode|printing|show samples|not rcvd"
    "|came coded|re dotcom|mystery|had been|possible damages)"
    r"\b"
)


def is_note(words: "ibis.StringValue") -> "ibis.BooleanValue":
    """Tell notes from names: `?`, `damaged`, `wrongly coded 20713` are notes.

    A note has a question mark at an end, or no capital letter, or is one of the words clerks
    write, or begins with one and is not in capitals throughout.

    Args:
        words: Descriptions as they came.

    Returns:
        True for a note, false for a name, null where nothing is written.
    """
    mixed_case = words.re_search("[a-z]{2}")
    return (
        words.re_search(r"^\s*\?|\?\s*$")
        | ~words.re_search("[A-Z]")
        | words.re_search(_ALONE)
        | (mixed_case & words.re_search(_OPENING))
    )
