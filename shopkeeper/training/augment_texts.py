"""Texts as hurried people type them, to learn from and to test how well search bears it.

Errors of a hand on a keyboard: a neighbouring key, letters swapped, dropped or doubled, words
left out, capitals lost or all over. The kinds are those of Belinkov and Bisk, ICLR 2018; where
keys lie is measured, not listed. Knows no spelling: what comes out may be another word.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cache

import numpy as np

from shopkeeper.errors import unknown

KEYBOARDS: dict[str, tuple[str, str, str]] = {
    "qwerty": ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "qwertz": ("qwertzuiopü", "asdfghjklöä", "yxcvbnm"),
    "azerty": ("azertyuiop", "qsdfghjklm", "wxcvbn"),
}
"""Rows of letter keys; each row lies half a key further right than the one above."""

NEAR_KEYS = 1.2
"""Keys whose middles are no further apart, in widths of a key, are neighbours."""
WORD_LETTERS_MIN = 3
"""Shorter words keep their letters: two letters that change leave nothing to recognise."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How often what goes wrong, each as a chance in [0, 1]; the sum of letter errors too."""

    neighbour: float = 0.02
    """A letter becomes one of a neighbouring key."""
    swap: float = 0.01
    """A letter changes places with the next one."""
    drop: float = 0.01
    """A letter is left out."""
    double: float = 0.01
    """A letter is typed twice."""
    word_drop: float = 0.0
    """A word is left out; one word always stays."""
    case: float = 0.0
    """A text is all in small letters or all in capitals."""
    keyboard: str = "qwerty"
    """A name of `KEYBOARDS`."""

    def __post_init__(self) -> None:
        chances = [getattr(self, field.name) for field in fields(self) if field.type is float]
        if not all(0 <= chance <= 1 for chance in chances) or sum(self.letters()) > 1:
            raise ValueError("chances of noise must be in [0, 1], those of letters in sum.")
        if self.keyboard not in KEYBOARDS:
            raise unknown("keyboard", self.keyboard, KEYBOARDS)

    def letters(self) -> tuple[float, float, float, float]:
        """Return the chances of what happens to a letter: neighbour, swap, drop, double."""
        return self.neighbour, self.swap, self.drop, self.double


def noisy_texts(texts: Sequence[str], noise: Noise, seed: int = 0) -> list[str]:
    """Return `texts` as hurried people would type them.

    Args:
        texts: Any texts; words are what stands between spaces.
        noise: How often what goes wrong.
        seed: Decides every chance; the noise of a text depends on this and on its place alone.

    Returns:
        As many texts, none emptied that was not empty.
    """
    return [
        noisy_text(text, noise, np.random.default_rng((seed, place)))
        for place, text in enumerate(texts)
    ]


def noisy_text(text: str, noise: Noise, random: np.random.Generator) -> str:
    """Return one text with the chances of `noise`; see `noisy_texts`."""
    words = text.split(" ")
    stays = random.random(len(words)) >= noise.word_drop
    if not stays.any():
        stays[random.integers(len(words))] = True
    kept = [word for word, stay in zip(words, stays, strict=True) if stay]
    typed = " ".join(_typed(word, noise, random) for word in kept)
    if random.random() < noise.case:
        typed = typed.upper() if random.random() < 0.5 else typed.lower()
    return typed if typed.strip() or not text.strip() else text


def mistyped(word: str, random: np.random.Generator, keyboard: str = "qwerty") -> str:
    """Return a word with one error of a hand on a keyboard; words that are too short stay."""
    if len(word) < WORD_LETTERS_MIN:
        return word
    at, kind = int(random.integers(len(word))), int(random.integers(len(_ERRORS) - 1))
    if kind == SWAP:
        at = min(at, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    wrong = _ERRORS[kind](word[at], Noise(keyboard=keyboard), random)
    return word[:at] + wrong + word[at + 1 :]


@cache
def neighbours(keyboard: str) -> dict[str, str]:
    """Return the neighbouring letters of every letter of a keyboard."""
    places = {
        letter: (column + row / 2, row)
        for row, letters in enumerate(KEYBOARDS[keyboard])
        for column, letter in enumerate(letters)
    }
    return {
        letter: "".join(
            other
            for other, (ox, oy) in places.items()
            if other != letter and (ox - x) ** 2 + (oy - y) ** 2 <= NEAR_KEYS**2
        )
        for letter, (x, y) in places.items()
    }


def _typed(word: str, noise: Noise, random: np.random.Generator) -> str:
    if len(word) < WORD_LETTERS_MIN:
        return word
    chances = random.random(len(word))
    kinds = np.searchsorted(np.cumsum(noise.letters()), chances, side="right")
    letters, at = [], 0
    while at < len(word):
        letter, kind = word[at], int(kinds[at])
        if kind == SWAP and at + 1 < len(word):
            letters.append(word[at + 1] + letter)
            at += 2
            continue
        letters.append(_ERRORS[kind](letter, noise, random))
        at += 1
    return "".join(letters)


def _slip(letter: str, noise: Noise, random: np.random.Generator) -> str:
    near = neighbours(noise.keyboard).get(letter.lower())
    if not near:
        return letter
    other = near[random.integers(len(near))]
    return other.upper() if letter.isupper() else other


SWAP = 1
_ERRORS: tuple[Callable[[str, Noise, np.random.Generator], str], ...] = (
    _slip,
    lambda letter, *_: letter,  # a swap at the end of a word has nothing to swap with
    lambda *_: "",
    lambda letter, *_: letter * 2,
    lambda letter, *_: letter,
)
"""What becomes of a letter, in the order of `Noise.letters`, and last of one that is typed well."""
