"""Words that are written apart or together otherwise than the shop writes them.

`tooth brush` also searches `toothbrush`, and `tealight` reads as `tea light`, where products have
it so. Written-together words replace nothing: they are searched beside what was typed.
"""

from collections.abc import Sequence
from itertools import pairwise

from shopkeeper.search.understanding.spelling import Spelling

PART_LETTERS_MIN = 2


def split(word: str, spelling: Spelling) -> tuple[str, str] | None:
    """Return the two words that `word` was meant to be.

    Args:
        word: A word in small letters.
        spelling: The shop's words.

    Returns:
        Two words that stand side by side in products most often, or None to leave `word`.
    """
    if not word.isalpha() or spelling.knows(word) or len(word) > 40:
        return None
    parts = (
        (word[:at], word[at:]) for at in range(PART_LETTERS_MIN, len(word) - PART_LETTERS_MIN + 1)
    )
    best, most = None, 0
    for left, right in parts:
        times = spelling.beside(left, right)
        if times > most:
            best, most = (left, right), times
    return best


def joined(words: Sequence[str], spelling: Spelling) -> list[tuple[str, str, str]]:
    """Return neighbours that products write as one word.

    Args:
        words: The words of a query in small letters.
        spelling: The shop's words.

    Returns:
        Both words and the joined one; none where products have the two side by side.
    """
    found = []
    for left, right in pairwise(words):
        whole = left + right
        parts = left.isalpha() and right.isalpha() and min(len(left), len(right)) >= 2
        if parts and spelling.knows(whole) and not spelling.beside(left, right):
            found.append((left, right, whole))
    return found
