"""Texts as people wrote them: no HTML, no broken letters, no needless space."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ibis

FIELDS = ("title", "description", "brand", "text")
_ENTITY = "&[a-zA-Z0-9#]+;"
_TAG = r"</?[a-zA-Z][a-zA-Z0-9]*(\s[^<>]*)?/?>|<!--"
_ENTITIES = {
    "&nbsp;": " ", "&#160;": " ", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#34;": '"',
    "&#39;": "'", "&#x27;": "'", "&apos;": "'", "&rsquo;": "’", "&#8217;": "’", "&lsquo;": "‘",
    "&ldquo;": "“", "&rdquo;": "”", "&ndash;": "–", "&#8211;": "–", "&mdash;": "—",
    "&hellip;": "…", "&bull;": "•", "&euro;": "€", "&pound;": "£", "&deg;": "°", "&reg;": "®",
    "&copy;": "©", "&trade;": "™", "&times;": "×", "&frac12;": "½", "&eacute;": "é",
    "&egrave;": "è", "&agrave;": "à", "&ccedil;": "ç", "&auml;": "ä", "&ouml;": "ö",
    "&uuml;": "ü", "&szlig;": "ß", "&ntilde;": "ñ", "&amp;": "&",
}  # fmt: skip
_LETTERS = "àáâãäåæçèéêëìíîïñòóôõöøùúûüýßÀÁÂÄÅÆÇÈÉÊËÍÑÓÔÖØÚÜ’‘“”–—…€£°®©™×•½²³´¿¡ª"


class Texts:
    """Turns HTML into text and mends UTF-8 that was read as Windows-1252, in products and reviews.

    `CafÃ©` was `Café` before somebody read it with the wrong encoding. Only sequences that no
    language writes are mended, so a text that is right stays as it is.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """What is mended."""

        html: bool = True
        """Whether HTML becomes text."""
        encoding: bool = True
        """Whether letters that were read with a wrong encoding are mended."""
        letters_max: int = 20_000
        """Letters of a text that are kept."""

        def __post_init__(self) -> None:
            if self.letters_max < 100:
                raise ValueError(f"letters_max must be at least 100, but is {self.letters_max}")

    tables = ("products", "reviews")

    def __init__(self, config: Config) -> None:
        self.config = config

    heavy = True
    """So much work that it is worked out once, whatever comes after."""

    def mend(self, rows: "ibis.Table") -> "tuple[ibis.Table, dict[str, ibis.BooleanValue]]":
        """Return the rows with plain texts, and which were changed in what way."""
        import ibis

        fields = [name for name in FIELDS if name in rows.columns]
        html, wrong = ibis.literal(False), ibis.literal(False)
        for name in fields:
            html |= rows[name].re_search(_TAG + "|" + _ENTITY).fill_null(False)
            wrong |= rows[name].re_search(_MOJIBAKE).fill_null(False)
        rows = rows.mutate(_html=html & self.config.html, _wrong=wrong & self.config.encoding)
        # Step by step, for each step looks at its text several times.
        for step in self._steps():
            rows = rows.mutate(**{name: step(rows[name]) for name in fields})
        return rows, {
            "HTML made text": rows._html,
            "letters read with a wrong encoding": rows._wrong,
        }

    def _steps(self) -> "list[Callable[[Any], Any]]":
        steps: list[Callable[[Any], Any]] = []
        if self.config.encoding:
            steps.append(
                lambda text: text.re_search(_MOJIBAKE).ifelse(_replaced(text, _BROKEN), text)
            )
        if self.config.html:
            steps.append(lambda text: text.re_search(_TAG).ifelse(_bare(text), text))
            steps.append(
                lambda text: text.re_search(_ENTITY).ifelse(_replaced(text, _ENTITIES), text)
            )
        return [*steps, self._tidy]

    def _tidy(self, text: Any) -> Any:
        text = text.re_replace(r"[\s\x00-\x1f\x{00a0}]+", " ").re_replace("^ | $", "")
        return text.substr(0, self.config.letters_max).nullif("")


def _bare(text: Any) -> Any:
    """Take tags out of HTML; those that begin a line leave a space."""
    text = text.re_replace(r"(?is)<(script|style)\b.*?</(script|style)>|<!--.*?-->", " ")
    text = text.re_replace(r"(?i)</?(p|br|div|li|ul|ol|h[1-6]|tr|td|table)\b[^<>]*>", " ")
    return text.re_replace(r"</?[a-zA-Z][a-zA-Z0-9]*(\s[^<>]*)?/?>", "")


def _misread(letter: str) -> str:
    """Return what a letter's UTF-8 looks like to who takes it for Windows-1252."""
    raw = letter.encode("utf-8")
    return "".join(
        bytes([code]).decode("cp1252", "ignore") or chr(code) for code in raw
    )  # fmt: skip


_BROKEN = {_misread(letter): letter for letter in _LETTERS}
_MOJIBAKE = (
    "[ÃÂâ][\\x{0080}-\\x{00bf}\\x{2013}-\\x{2122}\\x{0152}-\\x{0178}\\x{0192}\\x{02c6}\\x{02dc}]"
)


def _replaced(text: Any, pairs: dict[str, str]) -> Any:
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text
